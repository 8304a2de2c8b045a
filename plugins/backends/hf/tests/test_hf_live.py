"""What is shown while a local model works."""

import io
from pathlib import Path

import pytest

from aisb_backend_hf._live import Meter
from aisb_cli.display import PlainDisplay
from aisb_engine._progress import Progress


def test_the_line_says_rate_batch_and_memory():
    meter = Meter(rows=12, limit=32, memory=2_300_000_000)
    assert meter.line() == "batch 12 of 32, memory 2.3 GB"
    meter._seen.extend([(10.0, 100), (12.0, 500)])
    assert meter.line() == "200 tokens/s, batch 12 of 32, memory 2.3 GB"
    meter.out_of_memory = 2
    assert meter.line().endswith(", out of memory 2 ×")


def test_the_summary_says_how_much_was_padding():
    meter = Meter(computed=1000, padding=25, reused=700, most_rows=16)
    assert (
        meter.summary() == "1000 tokens computed, 2.5% padding, 700 not computed again; up to 16 rows at once"
    )


def test_a_display_shows_what_the_model_does():
    now = 0.0
    stream = io.StringIO()
    subtask = Progress("small", "told", Path("told.out"), total=4, phase="sending", started=0.0)
    subtask.detail = "200 tokens/s, batch 12 of 32"
    display = PlainDisplay(stream, clock=lambda: now)
    display.start([subtask])
    now = 20.0
    display.update()
    display.stop()
    assert "; small: 200 tokens/s, batch 12 of 32" in stream.getvalue()


@pytest.mark.slow  # a local model: torch alone takes six seconds of a core
def test_the_thread_that_loads_a_model_has_ended_when_it_is_asked(folder):
    import asyncio
    import threading

    from aisb_backend_hf import HFBase

    async def run():
        backend = HFBase(path=str(folder))
        await backend.probe()
        names = [thread.name for thread in threading.enumerate()]
        await backend.aclose()
        return names

    names = asyncio.run(run())
    assert "model" in names
    assert not [name for name in names if name.startswith("loading")]
