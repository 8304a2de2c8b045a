"""Be an object with hooks as methods."""

from aisb import hookimpl


class Plugin:
    """Hooks as methods."""

    @hookimpl
    def aisb_datasets(self):
        """Offer a dataset."""
        return {"thing": list}


PLUGIN = Plugin()
