"""A sweep: a grid of settings, its points, their runs, and the record from which it is resumed."""
