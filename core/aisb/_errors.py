"""Every error a user can meet. The command prints its message, no traceback, and exits with `exit_code`.

AisbError
├── UsageError            2   a flag, a file, a name or a plugin is not as it must be
│   ├── ConfigError           a key or value in a configuration, named by its path
│   ├── UnknownName           nothing has this name; the nearest is suggested
│   ├── DataError             a data file is broken
│   │   └── DataMissing       nothing is where a task's data may lie
│   ├── PluginError           a component cannot be made
│   └── RunError              a run folder cannot be used as asked
│       └── StorageError  5       this machine does not let it be written
├── ServiceError          3   the service cannot be reached, or does not serve what is asked
└── CheckFailed           4   a requested check did not hold

AttemptFailed                 one attempt at one request; recorded and counted, never printed as an error
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from aisb._types import Failure


class AisbError(Exception):
    """An error that a user can act on. The message says what was wrong, what would be right, what to do."""

    exit_code = 1


class UsageError(AisbError):
    """Something the user gave is not as it must be."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or a value in a configuration is wrong; `path` says where, as in `tasks.gsm8k.prompt.shots`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class UnknownName(UsageError):  # noqa: N818 - what was asked for is named, not the mistake
    """Nothing is registered under a name."""

    def __init__(self, what: str, name: str, known: Iterable[str], notes: Iterable[str] = ()) -> None:
        known = sorted(known)
        lines = [f"no {what} named {name!r}{did_you_mean(name, known)}"]
        if known:
            lines.append(f"  known: {', '.join(known)}")
        lines += [f"  {note}" for note in notes]
        super().__init__("\n".join(lines))
        self.name = name


class DataError(UsageError):
    """A data file is not what the task expects, or missing (`DataMissing`)."""


class DataMissing(DataError):  # noqa: N818 - what is wanted is named, not the mistake
    """Nothing is at any of the places where a task's data may lie."""


class PluginError(UsageError):
    """A component of a plugin cannot be made, or two plugins offer the same name."""


class RunError(UsageError):
    """A run folder is missing, locked, or does not fit what is asked."""


class StorageError(RunError):
    """This machine does not let a run be written: a full disk, permissions, or too few open files."""

    exit_code = 5


class ServiceError(AisbError):
    """The service cannot be reached, refuses the key, or does not serve the model asked for."""

    exit_code = 3


class CheckFailed(AisbError):  # noqa: N818 - the run is right; what was demanded of it is not
    """A check that was asked for (`--require-valid`, `--fail-on-regression`) did not hold."""

    exit_code = 4


class AttemptFailed(Exception):  # noqa: N818 - one attempt fails as a matter of course; it is not an error
    """One attempt at one request did not give an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name nearest to `name`, or an empty string."""
    near = get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names in a row, in order, cut where a list would flood the terminal."""
    more = len(names) - most
    return ", ".join(sorted(names)[:most]) + (f" … and {more} more" if more > 0 else "")


def error_words(error: BaseException) -> str:
    """Say in one line what went wrong, and where; an import or syntax error says that itself."""
    message = exception_message(error)
    if isinstance(error, ImportError):
        return message
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    place = "" if isinstance(error, SyntaxError) else exception_location(error)
    return f"{text} ({place})" if place else text


def exception_message(error: BaseException) -> str:
    """Return an exception's message in one line; an empty string where it cannot be printed."""
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a plugin wrote the exception, too
        return ""


def exception_location(error: BaseException) -> str:
    """Return the file and line where an exception was raised; an empty string where it was not raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace else ""
