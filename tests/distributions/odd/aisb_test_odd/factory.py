"""Offer factories that fail when they are called."""

from typing import TYPE_CHECKING

from aisb import UsageError, hookimpl

if TYPE_CHECKING:
    from decimal import Decimal


def heavy(*, size: int = 1):
    """Need a library that nobody has, when it is used."""
    import a_heavy_library_nobody_has

    return a_heavy_library_nobody_has.load(size)


def picky(*, url: str):
    """Judge a value itself."""
    message = f"url = {url!r} has no scheme; write http://{url}"
    raise UsageError(message)


def careless(*, size: int):
    """Divide by what it is given."""
    return 1 / size


def unreadable(*, price: "Decimal"):
    """Name a type that is there for type checks only."""
    return price


def with_files(*, files, path: str = "x"):
    """Take what core gives."""
    return (files, path)


@hookimpl
def aisb_datasets():
    """Offer them all."""
    return {
        "heavy": heavy,
        "picky": picky,
        "careless": careless,
        "unreadable": unreadable,
        "with-files": with_files,
    }
