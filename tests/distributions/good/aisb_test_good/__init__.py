"""Throw dice, and find the shouted word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from aisb import Postprocessor, Row, Sample, hookimpl


def dice(
    *,
    count: Annotated[int, "how many throws"] = 10,
    sides: Literal[6, 20] = 6,
    colour: Annotated[str, "what colour the dice have"],
) -> Iterator[Row]:
    """Throw a die again and again.

    The second paragraph is not the summary.
    """
    for number in range(count):
        yield {"throw": number % sides + 1, "colour": colour}


def shouted(*, least: Annotated[int, "minimum word length"] = 3) -> Postprocessor:
    """Take the last word in capitals."""

    def step(text: str, sample: Sample) -> str | None:
        words = re.findall(rf"\b[A-Z]{{{least},}}\b", text)
        return words[-1] if words else None

    return step


@hookimpl
def aisb_datasets() -> Mapping[str, Callable[..., Iterable[Row]]]:
    """Offer the dice."""
    return {"dice": dice}


@hookimpl
def aisb_postprocessors() -> Mapping[str, Callable[..., Postprocessor]]:
    """Offer the shouted word, and a name that a dataset has too."""
    return {"shouted": shouted, "dice": shouted}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Offer the task `throws` and the model `shouter`."""
    return [files("aisb_test_good")]
