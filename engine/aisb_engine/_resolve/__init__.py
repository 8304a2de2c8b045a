"""Resolve names, files and flags to a run specification."""
