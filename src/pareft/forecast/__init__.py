"""What a training step will take, before there are weights: traced on tensors without content, and timed operation by operation."""
