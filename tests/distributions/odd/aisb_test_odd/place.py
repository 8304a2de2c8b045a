"""Name no place where a factory could stand."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    """Offer a module."""
    return {"nowhere": "aisb_test_odd.factory"}
