"""The gaps between stamps: half the size of the stamps, and mostly small."""

from __future__ import annotations

from array import array
from itertools import islice
from operator import sub


def plain_gaps(stamps: array[int]) -> bytes | None:
    """Return the differences of stamps in a row as 32-bit numbers of this machine; None where one is no such.

    `aisb_speedups._compiled` does the same at less cost, and is used where it is installed.
    """
    try:
        return array("I", map(sub, islice(stamps, 1, None), stamps)).tobytes()
    except OverflowError:  # a gap of more than four seconds, or a clock that went back
        return None
