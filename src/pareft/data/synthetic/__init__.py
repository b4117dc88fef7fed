"""Synthetic notes: what a fresh machine, and the tests, have instead of credentialed data."""

from pareft.data.synthetic.notes import COLUMNS, generate_radiology_notes

__all__ = ["COLUMNS", "generate_radiology_notes"]
