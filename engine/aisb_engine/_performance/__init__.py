"""Compute the performance of a run from the time stamps in its log."""
