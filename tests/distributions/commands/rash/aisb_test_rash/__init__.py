"""Importers that end the process, or return what is no task."""

import sys

from aisb import Importer, hookimpl


class Ending(Importer):
    """Ends the process."""

    reads = "nothing"

    def read(self, path):
        """End."""
        sys.exit(0)


class Counting(Importer):
    """Returns a number."""

    reads = "nothing"

    def read(self, path):
        """Return what is no task."""
        return [5]


@hookimpl
def aisb_importers():
    """Offer both."""
    return {"ending": Ending, "counting": Counting}
