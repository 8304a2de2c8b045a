"""The data sets of tasks: what is there, and how to get what is not."""
