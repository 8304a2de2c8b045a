"""Offer a name that cannot be typed."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer a name with a space and a colon."""
    return {"two words: one": dict}
