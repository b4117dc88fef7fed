"""What a model writes, how good it is, and what its training step costs."""
