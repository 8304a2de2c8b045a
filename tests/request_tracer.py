"""Run `aisb` and write down the calls that lead from the command to the first request's bytes.

Usage: python request_tracer.py FILE START WORDS...: a request begins with START, and WORDS are those of the command.
FILE gets a JSON list of [module, function], outermost first. Where a task begins, the list goes on with whoever
created it. Only frames of this repository's packages are kept.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PACKAGES = ("aisb", "aisb_engine", "aisb_cli")


class Tracer:
    """A profile function: it notes who creates each task, and the frames at the first write of a request."""

    def __init__(self, file: Path, start: bytes) -> None:
        self._file = file
        self._start = start
        self._creators: dict[FrameType, list[FrameType]] = {}
        self._coroutines: list[Any] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_name in {"create_task", "run"}:
            coroutine = frame.f_locals.get("coro")
            if inspect.iscoroutine(coroutine) and coroutine.cr_frame not in self._creators:
                self._coroutines.append(coroutine)  # its frame is looked up again as long as it lives
                self._creators[coroutine.cr_frame] = self._frames(frame.f_back)
        elif event == "c_call" and argument.__name__ == "send" and self._is_request(frame):
            sys.setprofile(None)
            walk = [place for one in reversed(self._frames(frame)) if (place := _place(one))]
            self._file.write_text(json.dumps(walk))

    def _is_request(self, frame: FrameType) -> bool:
        """Return whether the caller is about to send the bytes of a request."""
        return any(
            isinstance(value, bytes) and value.startswith(self._start) for value in frame.f_locals.values()
        )

    def _frames(self, frame: FrameType | None) -> list[FrameType]:
        """Return the frames from the innermost to the command, through the creators of tasks."""
        frames: list[FrameType] = []
        inside_task = False
        while frame is not None:
            is_coroutine = bool(frame.f_code.co_flags & inspect.CO_COROUTINE)
            if inside_task and not is_coroutine:  # the event loop, which only resumes the task
                break
            inside_task = inside_task or is_coroutine
            frames.append(frame)
            frame = frame.f_back
        return frames + self._creators.get(frames[-1], []) if inside_task else frames


def _place(frame: FrameType) -> tuple[str, str] | None:
    """Return the module and the function of a frame of this repository; None for any other."""
    module = frame.f_globals.get("__name__", "")
    if module.partition(".")[0] not in PACKAGES:
        return None
    code: CodeType = frame.f_code
    return module, code.co_qualname


def main() -> None:
    """Trace the command that the words name."""
    file, start, *words = sys.argv[1:]
    sys.modules["uvloop"] = None  # type: ignore[assignment] - its writes are not seen from here, asyncio's own are
    from aisb_cli.main import main as command

    sys.setprofile(Tracer(Path(file), start.encode()))
    command(words)


if __name__ == "__main__":
    main()
