"""Adapters on a model, and its training."""
