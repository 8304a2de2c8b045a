"""Return a list where names are wanted."""

from aisb import hookimpl


@hookimpl
def aisb_evaluators():
    """Offer classes without names."""
    return [dict]
