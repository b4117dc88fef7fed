"""Light-PEFT's pruning of adapters (arXiv 2406.03792): how much every module and rank does while training begins, and a smaller
adapter of those that do most.
"""
