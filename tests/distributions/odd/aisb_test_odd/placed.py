"""Say where factories stand; only one of them is there."""

from aisb import hookimpl


@hookimpl
def aisb_datasets():
    """Offer places."""
    return {
        "placed": "aisb_test_odd.elsewhere:placed",
        "misplaced": "aisb_test_odd.elsewhere:lost",
        "unimportable": "aisb_test_odd.absent:thing",
        "leaving": "aisb_test_odd.exits:thing",
        "uncallable": "aisb_test_odd.elsewhere:SIZE",
    }
