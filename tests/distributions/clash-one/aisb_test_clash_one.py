"""Offer `twin`, as another plugin does, and `one`."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer a name that is taken, and one that is free."""
    return {"twin": dict, "one": dict}
