"""Offer `twin`, as another plugin does, and `two`."""

from aisb import hookimpl


def twin(*, url: str = "http://127.0.0.1"):
    """Have a twin in another plugin."""
    return url


@hookimpl
def aisb_backends():
    """Offer a name that is taken, and one that is free."""
    return {"twin": twin, "two": dict}
