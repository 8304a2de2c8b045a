"""Forget to return."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Return nothing."""
