"""What a model is: where its layers are, how it is counted, cut and read."""
