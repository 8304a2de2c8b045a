"""The data sets of tasks: list and check the existing ones, download missing ones."""
