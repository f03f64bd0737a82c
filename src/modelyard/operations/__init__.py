"""What runs for months: the parts of `modelyard up`, started, watched and stopped."""
