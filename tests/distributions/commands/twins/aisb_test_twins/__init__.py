"""An importer that fails on all that it sees."""

from aisb import Importer, hookimpl


class Careless(Importer):
    """Reads nothing, and fails."""

    reads = "nothing"

    def read(self, path):
        """Fail."""
        return [path.no_such_attribute]


@hookimpl
def aisb_importers():
    """Offer it under a name that comes first."""
    return {"careless": Careless}
