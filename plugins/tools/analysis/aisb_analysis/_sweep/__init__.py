"""A sweep: a grid of settings, the points that it makes, their runs, and the record that a resume reads."""
