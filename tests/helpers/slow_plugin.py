"""A plugin whose graders and report take an hour at a chosen place, for tests of signals at that moment."""

from pathlib import Path

PLUGIN = '''\
"""Graders and a report that take an hour at the place that $SLOW_AT names. They make the file $IS_SLOW."""

import asyncio
import os
import time
from pathlib import Path

from aisb import Evaluator, Reporter, Score, hookimpl


def take_long(at):
    if os.environ.get("SLOW_AT") != at:
        return
    Path(os.environ["IS_SLOW"]).touch()
    try:
        time.sleep(3600)
    except BaseException:
        if "caught" not in at:
            raise


class Slow(Evaluator):
    def score(self, answer, sample):
        take_long("score")
        take_long("score, caught")
        return Score(1.0)

    def summarize(self, scores):
        take_long("summarize")
        return None


class SlowInThreads(Evaluator):
    async def score(self, answer, sample):
        await asyncio.to_thread(take_long, "threads")
        return Score(1.0)


class SlowReport(Reporter):
    def report(self, run):
        take_long("report")
        take_long("report, caught")
        return []


@hookimpl
def aisb_evaluators():
    return {"slow": Slow, "slow-in-threads": SlowInThreads}


@hookimpl
def aisb_reporters():
    return {"slow-report": SlowReport}
'''


def write_slow_plugin(folder: Path) -> Path:
    """Write the plugin as an installed distribution; return its folder, for PYTHONPATH."""
    about = folder / "aisb_slow-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "aisb_slow.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: aisb-slow\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[aisb]\nslow = aisb_slow\n")
    return folder
