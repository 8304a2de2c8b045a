"""What every streamed chunk passes: compiled, where aisb-speedups is installed.

Both forms are held to the same tests. `AISB_COMPILED=0` in the environment chooses the plain one.
"""

from __future__ import annotations

import os

from aisb_engine._stream.arrivals import PlainArrivals
from aisb_engine._stream.gaps import plain_gaps
from aisb_engine._stream.pattern import PlainPattern
from aisb_engine._stream.sse import Event

REVISION = 4
"""Of what both forms do: a compiled module that an older source left behind is not used."""


def _no_events(times: list[int], datas: list[bytes]) -> tuple[list[Event], int, int]:
    """Return the events in whole chunks of HTTP, and how many whole pieces they fill, and bytes of the next.

    It ends before the first chunk that holds anything but events of one line each, which are read in the
    usual way: by a parser of HTTP, and then one of events. Here that is all of them.
    """
    del times, datas
    return [], 0, 0


Arrivals: type[PlainArrivals] = PlainArrivals
Pattern: type[PlainPattern] = PlainPattern
events_in = _no_events
gaps = plain_gaps
COMPILED = False

if os.environ.get("AISB_COMPILED") != "0":
    try:
        from aisb_speedups import _compiled
    except ImportError:
        pass
    else:
        if _compiled.REVISION == REVISION:
            Arrivals, Pattern = _compiled.Arrivals, _compiled.Pattern
            events_in, gaps = _compiled.events_in, _compiled.gaps
            COMPILED = True
