"""How often `--under-load` accuses a service that load does not change, and finds one that it does.

1,319 samples, 75 % of which are right. Two runs of one service differ even without load: a share of the
texts is drawn anew, with another length, and a part of these flips between right and wrong (the discordant
samples). Load then corrupts 3 % of the answers: they state another number, or no answer can be read.
"""

import random
import sys

from aisb_analysis._under_load import compare_under_load
from aisb_engine import Grade, Subtask

RUNS = 200
ACCUSED_MOST = 17
SAMPLES, RIGHT, CORRUPTED = 1_319, 0.75, 0.03
FLIPS = 2 * RIGHT * (1 - RIGHT)
"""The share of the answers that are drawn anew that flip."""
POWER_LEAST = 0.8
QUIET = 0.02
"""With more discordant samples, 3 % wrong answers are near or below the minimum detectable difference."""
DISCORDANT = (0.0, 0.02, 0.05, 0.10)
NAMES = (Subtask(model="m", task="t"), Subtask(model="m-at-64", task="t"))


def answer(draw: random.Random) -> tuple[Grade, float]:
    """Draw a grade and a length in tokens."""
    right = draw.random() < RIGHT
    return Grade("correct" if right else "wrong", float(right), "7", None), round(
        draw.lognormvariate(5.0, 0.4)
    )


def is_accused(draw: random.Random, discordant: float, corruption: str) -> bool:
    """Simulate one run, and say whether load is found to change the answers."""
    alone, loaded, before, after = {}, {}, {}, {}
    for number in range(SAMPLES):
        key = str(number)
        grade, length = answer(draw)
        alone[key], before[key] = [grade], length
        if draw.random() < discordant / FLIPS:
            grade, new = answer(draw)
            length = round(0.9 * length + 0.1 * new)
        if corruption and draw.random() < CORRUPTED:
            grade = (
                Grade("wrong", 0.0, "8", None)
                if corruption == "wrong"
                else Grade("unparsed", 0.0, None, None)
            )
        loaded[key], after[key] = [grade], length
    found = compare_under_load(alone, loaded, (before, after), names=NAMES, in_flight=(4, 64), draws=50)
    return found.is_changed


def main() -> int:
    draw = random.Random(0)
    good = []
    for corruption, name in (("", "unchanged"), ("wrong", "3 % wrong"), ("unparsed", "3 % unreadable")):
        for discordant in DISCORDANT:
            found = sum(is_accused(draw, discordant, corruption) for _ in range(RUNS))
            if corruption == "wrong" and discordant > QUIET:
                limit, holds = "no limit", True
            elif corruption:
                limit, holds = f"at least {POWER_LEAST:.0%}", found >= POWER_LEAST * RUNS
            else:
                limit, holds = f"at most {ACCUSED_MOST}", found <= ACCUSED_MOST
            good.append(holds)
            print(
                f"{'ok ' if holds else 'BAD'} {name:<15} {100 * discordant:3.0f} % discordant anyway: "
                f"{found:>3} of {RUNS} accused   {limit}",
                flush=True,
            )
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
