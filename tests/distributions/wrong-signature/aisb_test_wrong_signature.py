"""Want an argument that no hook is given."""

from aisb import hookimpl


@hookimpl
def aisb_backends(config):
    """Offer what the configuration names."""
    return {config["name"]: dict}
