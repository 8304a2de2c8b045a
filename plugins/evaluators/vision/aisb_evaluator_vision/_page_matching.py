"""Match the elements of a reply to those of the reference page, by edit distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NEAR = 0.25
"""Below this distance two elements are the same one, and no other is joined with either."""
FAR = 0.7
"""Above this distance two elements do not belong together."""
INSIDE = 0.4
"""Below this distance a reference element is a part of an element of the reply."""
PIECE = 0.6
"""Below this distance an element of the reply is a piece of a reference element."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Elements of the reference and of the reply that belong together, by position; `reply` may be empty."""

    reference: tuple[int, ...]
    reply: tuple[int, ...]


def nearest_pairs(reference: Sequence[str], reply: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of elements with the least sum of distances; each element is in one pair at most."""
    from scipy.optimize import linear_sum_assignment

    if not reference or not reply:
        return []
    found = linear_sum_assignment(distances(reference, reply))
    return [(int(row), int(column)) for row, column in zip(*found, strict=True)]


def distances(reference: Sequence[str], reply: Sequence[str]) -> Any:
    """Return the normalised edit distance of each element of the reference from each of the reply."""
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    return cdist(reference, reply, scorer=Levenshtein.normalized_distance)


def match_elements(reference: Sequence[str], reply: Sequence[str]) -> list[Pair]:
    """Return pairs that together hold each element of the reference once.

    Adjacent elements of the reply that are pieces of one of the reference are joined. Elements of the
    reference that are parts of one of the reply share it. What is left is paired by the least distance.
    Elements of the reply that belong to none are in no pair. Source: quick_match of OmniDocBench.
    """
    if not reference:
        return []
    if len(reference) == len(reply) == 1:
        return [Pair((0,), (0,))]
    runs = _joined(reference, reply)
    joined = [" ".join(reply[at] for at in run) for run in runs]
    table = distances(reference, joined) if joined else []
    owners: dict[tuple[int, ...], list[int]] = {}
    for row, column in nearest_pairs(reference, joined):
        if table[row][column] <= FAR:
            owners.setdefault(runs[column], []).append(row)
    open_rows = [row for row in range(len(reference)) if not any(row in rows for rows in owners.values())]
    for at, text in enumerate(reply):
        inside = [row for row in open_rows if _least_distance(reference[row], text, INSIDE) < INSIDE]
        if inside:
            owners.setdefault((at,), []).extend(inside)
            open_rows = [row for row in open_rows if row not in inside]
    used = {at for run in owners for at in run}
    unused = [at for at in range(len(reply)) if at not in used]
    rest = nearest_pairs([reference[row] for row in open_rows], [reply[at] for at in unused])
    for row, column in rest:
        owners.setdefault((unused[column],), []).append(open_rows[row])
    paired = {open_rows[row] for row, _ in rest}
    alone = [Pair((row,), ()) for row in open_rows if row not in paired]
    return [*(Pair(tuple(sorted(rows)), run) for run, rows in owners.items()), *alone]


def _joined(reference: Sequence[str], reply: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the elements of the reply as runs: pieces of one reference element are one run."""
    if not reply:
        return []
    near = distances(reference, reply) < NEAR
    open_rows = [row for row in range(len(reference)) if not near[row].any()]
    closed = {at for at in range(len(reply)) if near[:, at].any()}
    candidates = []
    for row in open_rows:
        runs = [_run(reference[row], reply, at, closed) for at in range(len(reply)) if at not in closed]
        if runs:
            texts = [" ".join(reply[at] for at in run) for run in runs]
            costs = distances([reference[row]], texts)[0]
            best = int(costs.argmin())
            candidates.append((float(costs[best]), runs[best]))
    chosen = _without_overlaps(candidates)
    first = {run[0]: run for run in chosen}
    inner = {at for run in chosen for at in run[1:]}
    return [first.get(at, (at,)) for at in range(len(reply)) if at not in inner]


def _run(target: str, reply: Sequence[str], start: int, closed: set[int]) -> tuple[int, ...]:
    """Return the elements from `start` on that are pieces of the target: each reduces the distance."""
    from rapidfuzz.distance import Levenshtein

    run, whole = [start], reply[start]
    if _least_distance(whole, target, PIECE) > PIECE:
        return tuple(run)
    distance = Levenshtein.normalized_distance(target, whole)
    for at in range(start + 1, len(reply)):
        if at in closed or len(whole) > len(target) or _least_distance(reply[at], target, PIECE) >= PIECE:
            break
        longer = f"{whole} {reply[at]}"
        nearer = Levenshtein.normalized_distance(target, longer)
        if nearer > distance:
            break
        run.append(at)
        whole, distance = longer, nearer
    return tuple(run)


def _least_distance(part: str, whole: str, limit: float) -> float:
    """Return the least distance of a part from a piece of its length of the whole, divided by the length.

    1 if the part is the longer one. A result above the limit need not be the least one.
    """
    from rapidfuzz.distance import Levenshtein

    size = len(part)
    if not 0 < size <= len(whole):
        return 1.0
    least, at = size, 0
    while at <= len(whole) - size and least:
        found = Levenshtein.distance(part, whole[at : at + size])
        least = min(least, found)
        # The next piece differs in a first and a last character, so its distance is smaller by at most 2.
        at += max(1, (found - min(int(limit * size), least - 1) + 1) // 2)
    return least / size


def _without_overlaps(candidates: Sequence[tuple[float, tuple[int, ...]]]) -> list[tuple[int, ...]]:
    """Return runs that share no element: of overlapping ones the set with the lowest mean cost."""
    ordered = sorted(
        {run: min(cost for cost, other in candidates if other == run) for _, run in candidates}.items()
    )
    chains: list[list[tuple[tuple[int, ...], float]]] = []
    for run, cost in ordered:
        overlaps = chains and any(set(run) & set(other) for other, _ in chains[-1])
        if overlaps:
            chains[-1].append((run, cost))
        else:
            chains.append([(run, cost)])
    chosen = []
    for chain in chains:
        paths: list[list[tuple[tuple[int, ...], float]]] = []
        for run, cost in chain:
            free = [path for path in paths if not any(set(run) & set(other) for other, _ in path)]
            for path in free:
                path.append((run, cost))
            if not free:
                paths.append([(run, cost)])
        best = min(paths, key=lambda path: sum(cost for _, cost in path) / len(path))
        chosen += [run for run, _ in best]
    return chosen
