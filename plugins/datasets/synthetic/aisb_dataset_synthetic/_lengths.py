"""Draw lengths in tokens: constant, uniform, gaussian, zipf, by percentiles, or from weighted values."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, TypeAlias

from aisb import UsageError
from aisb.helpers import did_you_mean

LengthOption: TypeAlias = int | dict[str, Any]
"""The type of options for lengths: a number, or a table with a `method` and its keys."""

MAX_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths between `minimum` (at least 1) and `maximum`."""

    minimum: int
    maximum: int
    draw: Callable[[Random], int]

    @property
    def fixed(self) -> bool:
        """Whether all lengths are equal."""
        return self.minimum == self.maximum


def lengths(option: LengthOption, name: str) -> Lengths:
    """Create a distribution from an option's value; errors name the option `name`.

    512                                              always 512
    {method = "constant", value = 512}               the same
    {method = "uniform", min = 100, max = 200}       all equally likely
    {method = "gaussian", mean = 150, var = 400, min = 1, max = 300}
                                                     values outside are clamped
    {method = "zipf", alpha = 1.5, min = 1, max = 1000}
                                                     the k-th length has a probability ~ k^-alpha
    {method = "percentile", points = [[50, 200], [90, 900], [99, 4000]]}
                                                     linear between the points
    {method = "weighted", values = [[128, 0.7], [2048, 0.3]]}
                                                     these lengths with these weights

    Raises:
        UsageError: a key is missing, unknown or wrong.
    """
    if not isinstance(option, Mapping):
        return _constant(_Table({"value": option}, name))
    table = dict(option)
    method = table.pop("method", None)
    if method not in METHODS:
        near = did_you_mean(str(method), METHODS) if method is not None else ""
        raise UsageError(f"{name}.method = {method!r} is not one of {', '.join(METHODS)}{near}")
    read = _Table(table, name)
    distribution = METHODS[method](read)
    if read.left:
        known = ", ".join(read.known)
        raise UsageError(f"{name}.{read.left[0]}: no such key for the method {method}; its keys: {known}")
    return distribution


class _Table:
    """Reads and validates the keys of a table."""

    def __init__(self, table: Mapping[str, Any], name: str) -> None:
        self._table = dict(table)
        self.name = name
        self.known: list[str] = []

    @property
    def left(self) -> list[str]:
        return list(self._table)

    def take(self, key: str, default: Any = None) -> Any:
        self.known.append(key)
        value = self._table.pop(key, default)
        if value is None:
            raise self.error(key, "must be set")
        return value

    def error(self, key: str, what: str) -> UsageError:
        return UsageError(f"{self.name}.{key}: {what}")

    def positive_integer(self, key: str, default: int | None = None) -> int:
        value = self.take(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(key, f"{value!r} is not a whole number of at least 1")
        return value

    def number(self, key: str, least: float, *, default: float | None = None) -> float:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
            raise self.error(key, f"{value!r} is not a number of at least {least:g}")
        return float(value)

    def bounds(self) -> tuple[int, int]:
        least, most = self.positive_integer("min"), self.positive_integer("max")
        if most < least:
            raise self.error("max", f"{most} is less than min, {least}")
        return least, most

    def pairs(self, key: str, what: str) -> list[tuple[float, float]]:
        """Return a list of pairs of numbers that are not negative."""
        value = self.take(key)
        pairs = (
            [tuple(pair) for pair in value if isinstance(pair, Sequence)] if isinstance(value, list) else []
        )
        numbers = [one for pair in pairs for one in pair if isinstance(one, int | float) and one >= 0]
        if not pairs or len(pairs) != len(value) or len(numbers) != 2 * len(pairs):
            raise self.error(key, f"must be a list of {what}")
        return [(float(first), float(second)) for first, second in pairs]


def _constant(table: _Table) -> Lengths:
    value = table.positive_integer("value")
    return Lengths(value, value, lambda _: value)


def _uniform(table: _Table) -> Lengths:
    least, most = table.bounds()
    return Lengths(least, most, lambda random: random.randint(least, most))


def _gaussian(table: _Table) -> Lengths:
    mean, spread = table.number("mean", 1), math.sqrt(table.number("var", 0))
    least, most = table.bounds()
    return Lengths(least, most, lambda random: min(max(round(random.gauss(mean, spread)), least), most))


def _zipf(table: _Table) -> Lengths:
    alpha = table.number("alpha", 0)
    least, most = table.bounds()
    if most - least >= MAX_TOKENS:
        raise table.error("max", f"{most} is more than {MAX_TOKENS:,} above min")
    steps: list[float] = list(
        accumulate((float(rank) ** -alpha for rank in range(1, most - least + 2)), initial=0.0)
    )

    def draw(random: Random) -> int:
        return least + min(bisect_right(steps, random.random() * steps[-1]) - 1, most - least)

    return Lengths(least, most, draw)


def _percentile(table: _Table) -> Lengths:
    points = table.pairs("points", "[percentile, length], as in [[50, 200], [99, 4000]]")
    shares, sizes = [share for share, _ in points], [size for _, size in points]
    if shares != sorted(set(shares)) or shares[-1] > 100:
        raise table.error("points", f"the percentiles {shares} must ascend, up to 100")
    if sizes != sorted(sizes) or sizes[0] < 1:
        raise table.error("points", f"the lengths {sizes} must ascend, from 1 on")

    def draw(random: Random) -> int:
        share = random.random() * 100
        above = bisect_right(shares, share)
        if above in {0, len(shares)}:
            return round(sizes[0 if above == 0 else -1])
        part = (share - shares[above - 1]) / (shares[above] - shares[above - 1])
        return round(sizes[above - 1] + part * (sizes[above] - sizes[above - 1]))

    return Lengths(round(sizes[0]), round(sizes[-1]), draw)


def _weighted(table: _Table) -> Lengths:
    pairs = table.pairs("values", "[length, share], as in [[128, 0.7], [2048, 0.3]]")
    sizes = [round(size) for size, _ in pairs]
    shares = [share for _, share in pairs]
    if min(sizes) < 1 or sum(shares) <= 0:
        raise table.error("values", "the lengths must be at least 1, and the shares more than 0 together")
    return Lengths(min(sizes), max(sizes), lambda random: random.choices(sizes, shares)[0])


METHODS: Mapping[str, Callable[[_Table], Lengths]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "zipf": _zipf,
    "percentile": _percentile,
    "weighted": _weighted,
}
