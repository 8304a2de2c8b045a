"""Raise where a hook should return."""

from aisb import hookimpl


@hookimpl
def aisb_datasets():
    """Offer a dataset that goes with the rest."""
    return {"raising": list}


@hookimpl
def aisb_reporters():
    """Raise."""
    message = "the moon is in the wrong house"
    raise ValueError(message)
