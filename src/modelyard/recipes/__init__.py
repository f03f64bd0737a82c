"""What words such as `cnn` and `standard` mean: complete recipes, a file for each architecture."""
