"""Offer one folder, and not a list."""

from aisb import hookimpl


@hookimpl
def aisb_configs():
    """Offer a string."""
    return "/tmp"
