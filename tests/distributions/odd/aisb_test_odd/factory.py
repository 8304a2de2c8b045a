"""Offer factories that fail when they are called."""

from typing import TYPE_CHECKING

from aisb import DataFiles, UsageError, hookimpl

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction


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


def unimported(*, files: "Fraction"):
    """Take files of a type that was not imported."""
    return files


def with_files(*, files: DataFiles, path: str = "x"):
    """Take files."""
    return (files, path)


@hookimpl
def aisb_datasets():
    """Offer them all."""
    return {
        "heavy": heavy,
        "picky": picky,
        "careless": careless,
        "unreadable": unreadable,
        "unimported": unimported,
        "with-files": with_files,
    }
