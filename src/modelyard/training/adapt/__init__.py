"""What is trained of a network that starts from weights. `WAYS` in `ways.py` is the only list to extend."""
