"""Have an entry point named as another distribution's."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer a backend."""
    return {"same-two": dict}
