"""Requests sent as a load says: when, how many at a time, by which processes."""
