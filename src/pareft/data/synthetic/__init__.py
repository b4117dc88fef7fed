"""Synthetic notes and consultations: what a fresh machine, and the tests, have instead of credentialed data."""

from pareft.data.synthetic.consultations import Forum, generate_consultations
from pareft.data.synthetic.discharge import generate_discharge_notes
from pareft.data.synthetic.notes import generate_radiology_notes
from pareft.data.synthetic.rows import COLUMNS

__all__ = ["COLUMNS", "Forum", "generate_consultations", "generate_discharge_notes", "generate_radiology_notes"]
