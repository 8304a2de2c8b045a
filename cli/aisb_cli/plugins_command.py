"""`aisb plugins`: which plugins are installed, what each offers, and which options a component takes."""

from __future__ import annotations

import click


@click.group()
def plugins() -> None:
    """Show the installed plugins and what they offer."""
