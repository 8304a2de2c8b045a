"""Offer a folder that is not there."""

from pathlib import Path

from aisb import hookimpl


@hookimpl
def aisb_configs():
    """Offer a folder that is not there."""
    return [Path("/nowhere/to/be/found")]
