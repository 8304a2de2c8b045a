"""List the differences between published and recomputed values: nested values, lines, table cells."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aisb_analysis._shown import shown

PRECISION = 1e-9
"""The relative tolerance of numbers: other machines add in another order."""
OLD_ARRAYS = {"asked_tokens": "max_tokens"}
"""Current names of arrays that earlier versions wrote under another name."""


def value_differences(published: Any, recomputed: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each difference between nested plain values."""
    if isinstance(published, Mapping) and isinstance(recomputed, Mapping):
        for key in [*published, *(key for key in recomputed if key not in published)]:
            where = f"{path}.{key}" if path else str(key)
            if key not in recomputed:
                yield f"{where}: published {_short(published[key])}, not recomputed from the log"
            elif key not in published:
                if not recomputed[key]:  # an older version did not write this key
                    continue
                yield f"{where}: not published, recomputed {_short(recomputed[key])}"
            else:
                yield from value_differences(published[key], recomputed[key], where)
    elif isinstance(published, list) and isinstance(recomputed, list) and len(published) == len(recomputed):
        for number, (one, other) in enumerate(zip(published, recomputed, strict=True)):
            yield from value_differences(one, other, f"{path}[{number}]")
    elif not _same(published, recomputed):
        yield f"{path}: published {_short(published)}, recomputed {_short(recomputed)}"


def line_differences(
    published: Iterable[Mapping[str, Any]], recomputed: Iterable[Mapping[str, Any]], keys: Sequence[str]
) -> Iterator[str]:
    """Yield the differences between two lists of lines, matched by the values of `keys`."""
    old, new = _by_keys(published, keys), _by_keys(recomputed, keys)
    for key in [*old, *(key for key in new if key not in old)]:
        name = " ".join(f"{word} {value}" for word, value in zip(keys, key, strict=True) if value != "")
        if len(old.get(key, ())) != len(new.get(key, ())):
            yield f"{name}: {len(old.get(key, ()))} lines published, {len(new.get(key, ()))} recomputed"
            continue
        for one, other in zip(old[key], new[key], strict=True):
            yield from (f"{name}: {line}" for line in value_differences(one, other))


def table_differences(published: bytes, recomputed: bytes) -> Iterator[str]:
    """Yield the differences between two CSV tables, matched by row number."""
    old, new = (
        list(csv.reader(io.StringIO(data.decode("utf-8", "replace")))) for data in (published, recomputed)
    )
    if len(old) != len(new):
        yield f"{len(old)} rows published, {len(new)} recomputed"
    head = new[0] if new else []
    for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
        if len(one) != len(other):
            yield f"row {number}: {len(one)} cells published, {len(other)} recomputed"
        for place, (before, after) in enumerate(zip(one, other, strict=False)):
            if before != after:
                name = head[place] if place < len(head) else place
                place_words = f"row {number} ({' '.join(other[:2])}), {name}"
                yield f"{place_words}: published {_short(before)}, recomputed {_short(after)}"


def array_differences(published: Path, recomputed: Path) -> Iterator[str]:
    """Yield the differences between the arrays of two `.npz` files."""
    import numpy as np

    try:
        with np.load(published, allow_pickle=False) as old, np.load(recomputed, allow_pickle=False) as new:
            before = {OLD_ARRAYS.get(name, name): old[name] for name in old.files}
            for name in sorted({*before, *new.files}):
                if name not in before or name not in new.files:
                    yield f"{name}: only {'recomputed' if name in new.files else 'published'}"
                elif before[name].shape != new[name].shape or not _equal(before[name], new[name]):
                    yield f"{name}: the values differ"
    except Exception as error:  # noqa: BLE001 - whatever numpy raises at a broken file
        yield f"cannot be read: {type(error).__name__}: {error}"


def _equal(one: Any, other: Any) -> bool:
    import numpy as np

    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=PRECISION, atol=0, equal_nan=True))
    return bool((one == other).all())


def _by_keys(
    lines: Iterable[Mapping[str, Any]], keys: Sequence[str]
) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault(tuple(line.get(key, "") for key in keys), []).append(line)
    return found


def _same(one: Any, other: Any) -> bool:
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not isinstance(one, bool) and not isinstance(other, bool):
        return math.isclose(one, other, rel_tol=PRECISION, abs_tol=1e-12)
    return type(one) is type(other) and bool(one == other)


def _short(value: Any) -> str:
    text = shown(str(value))
    return text if len(text) <= 60 else f"{text[:57]}…"
