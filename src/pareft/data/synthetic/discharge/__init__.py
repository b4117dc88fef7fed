"""Synthetic discharge notes: the shape of MIMIC-IV-Note's discharge.csv, and a task that copying does not solve."""

from pareft.data.synthetic.discharge.notes import generate_discharge_notes

__all__ = ["generate_discharge_notes"]
