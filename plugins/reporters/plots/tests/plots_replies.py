"""Runs that the plots' tests draw, of replies that were streamed, failed, never sent; times in milliseconds."""

import json
from array import array

from aisb import Failure, Prediction, Timing, Usage
from aisb_engine import open_finished_run
from aisb_engine._record.log import LogWriter

MS = 1_000_000
TIMESTAMP = "20261121_220301"


def made_run(work, replies, *, model="sim", task="demo", load=None):
    """A run folder with these replies in its log."""
    folder = work / TIMESTAMP
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    log = folder / "log" / model / task
    with LogWriter(log / "worker-0") as writer:
        for one in replies:
            writer.append(one, final=True)
    asked = load or {"requested": {"concurrency": 8}, "planned": len(replies)}
    (log / "load.json").write_text(json.dumps(asked))
    return open_finished_run(folder)


def reply(name, sent, tokens=8, **changes):
    """A streamed reply: the first token after 40 ms, one every 10 ms; planned 1 ms before it was sent."""
    stamps = [(sent + 40 + 10 * n) * MS for n in range(tokens)]
    planned = changes.pop("planned", sent - 1)
    timing = Timing(
        planned_ns=None if planned is None else planned * MS,
        sent_ns=sent * MS,
        headers_ns=(sent + 4) * MS,
        chunk_ns=array("q", stamps),
        chunk_kinds=("content",) * tokens,
        done_ns=stamps[-1] + MS,
    )
    values = {"finish_reason": "length", "usage": Usage(50, tokens, 0), "timing": timing}
    return Prediction(str(name), **(values | changes))


def failed(name, sent, message, kind="status"):
    """A request that was refused after 30 ms."""
    timing = Timing(planned_ns=sent * MS, sent_ns=sent * MS, done_ns=(sent + 30) * MS)
    return Prediction(str(name), timing=timing, failure=Failure(kind, message))


def never_sent(name, at):
    timing = Timing(planned_ns=at * MS)
    return Prediction(str(name), timing=timing, failure=Failure("connect", "connection refused"))
