"""Where examples come from: notes, tables, Hub data sets, the synthetic generator; and how they become token ids."""
