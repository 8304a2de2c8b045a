"""Make samples from the rows of a task, and requests from samples."""
