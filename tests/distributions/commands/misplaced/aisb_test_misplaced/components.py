"""A dataset."""

from aisb import hookimpl


@hookimpl
def aisb_datasets():
    """Offer it."""
    return {"misplaced": list}
