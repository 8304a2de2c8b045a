"""Misspell a hook, and have a good one beside it."""

from aisb import hookimpl


@hookimpl
def aisb_backend():
    """Offer a backend under a hook that is none."""
    return {"misspelt": dict}


@hookimpl
def aisb_datasets():
    """Offer a dataset, which goes with the rest."""
    return {"misspelt": list}
