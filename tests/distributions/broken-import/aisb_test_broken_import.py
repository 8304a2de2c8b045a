"""Need a library that nobody has."""

import a_library_nobody_has

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer what cannot be had."""
    return {"unreachable": a_library_nobody_has.Backend}
