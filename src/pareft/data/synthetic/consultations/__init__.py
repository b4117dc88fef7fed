"""Synthetic consultations: the shape of ChatDoctor's files, and a task that copying does not solve."""

from pareft.data.synthetic.consultations.forums import Forum, generate_consultations

__all__ = ["Forum", "generate_consultations"]
