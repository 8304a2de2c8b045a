"""The two loops that every streamed chunk passes: compiled, where a C compiler was there at installation.

Both forms are held to the same tests. `AISB_COMPILED=0` in the environment chooses the plain one.
"""

from __future__ import annotations

import os

from aisb.http.arrivals import PlainArrivals
from aisb.http.pattern import PlainPattern

Arrivals: type[PlainArrivals] = PlainArrivals
Pattern: type[PlainPattern] = PlainPattern
COMPILED = False
REVISION = 1
"""Of what both forms do: a compiled module that an older source left behind is not used."""

if os.environ.get("AISB_COMPILED") != "0":
    try:
        from aisb.http import _compiled
    except ImportError:
        pass
    else:
        if _compiled.REVISION == REVISION:
            Arrivals, Pattern, COMPILED = _compiled.Arrivals, _compiled.Pattern, True
