"""Offer a value that makes nothing."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer a number."""
    return {"seven": 7}
