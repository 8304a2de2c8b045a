"""Rows made into samples, and samples into requests."""
