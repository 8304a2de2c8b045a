"""Sums that are made, not read."""

from random import Random
from typing import Annotated

from aisb import RowCount


def made_sums(
    *,
    rows: Annotated[int, "how many sums", RowCount] = 8,
    requests: Annotated[int, "an option whose name means nothing to the engine"] = 2,
    seed: Annotated[int, "another seed makes other sums"] = 0,
):
    """Sums of two small numbers."""
    for number in range(rows):
        draw = Random(f"{seed}:{number}")
        first, second = draw.randrange(50), draw.randrange(50)
        yield {"question": f"{first} + {second}", "answer": str(first + second), "requests": requests}
