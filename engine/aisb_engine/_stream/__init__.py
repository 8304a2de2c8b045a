"""The reader of replies: pure Python, or compiled from the same files if aisb-speedups is installed.

`AISB_COMPILED=0` in the environment selects pure Python. A reader that was compiled from another version of
the files is not used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aisb_engine._stream.inbox import Inbox
from aisb_engine._stream.known import KnownEvents
from aisb_engine._stream.reader import StreamReader

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["COMPILED", "Inbox", "KnownEvents", "StreamReader", "compiled_module"]


def compiled_module() -> ModuleType | None:
    """Return the compiled module of the reader; None if no matching one is installed."""
    import hashlib
    from pathlib import Path

    from aisb_engine._stream import columns, framing, inbox, kind, known, lines, matching, reader, state

    try:
        from aisb_speedups import _source  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        return None
    sources = (reader, state, columns, framing, inbox, kind, known, lines, matching)
    source = b"".join(Path(str(each.__file__)).read_bytes() for each in sources)
    if hashlib.sha256(source).hexdigest() != _source.SHA256:
        return None
    from aisb_speedups import reader as compiled  # type: ignore[attr-defined,unused-ignore]

    module: ModuleType = compiled
    return module


COMPILED = False
"""Whether the stream reader is the compiled one of aisb-speedups."""

if os.environ.get("AISB_COMPILED") != "0" and (_module := compiled_module()) is not None:
    COMPILED = True
    StreamReader = _module.StreamReader  # type: ignore[misc]
    KnownEvents = _module.KnownEvents  # type: ignore[misc]
    from aisb_speedups.inbox import Inbox  # type: ignore[import-not-found,no-redef,unused-ignore]
