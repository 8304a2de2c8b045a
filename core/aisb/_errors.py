"""The errors that users meet. The command prints the message without a traceback and exits with `exit_code`.

AisbError
├── UsageError            2   a flag, a file, a name or a plugin is invalid
│   ├── ConfigError           an invalid key or value in a configuration, named by its path
│   ├── UnknownName           nothing has this name; the message suggests the nearest one
│   ├── DataError             a data file is invalid
│   │   └── DataMissing       the data of a task is at none of its possible places
│   ├── PluginError           a component cannot be created
│   └── RunError              a run folder cannot be used as requested
│       └── StorageError  5       a run cannot be written on this machine
├── ServiceError          3   the service cannot be reached, or does not serve the model
└── CheckFailed           4   a requested check failed

AttemptFailed                 one attempt at one request; recorded and counted, never printed as an error
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from aisb._types import Failure


class AisbError(Exception):
    """An error that a user can fix. The message names the value, what is expected, and what to do."""

    exit_code = 1


class UsageError(AisbError):
    """A flag, a file, a name or a plugin that the user gave is invalid."""

    exit_code = 2


class ConfigError(UsageError):
    """A key or a value in a configuration is invalid. `path` names it, as in `tasks.gsm8k.prompt.shots`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class UnknownName(UsageError):  # noqa: N818 - the cause reads better than NameError, which Python has
    """Nothing is registered under a name."""

    def __init__(self, what: str, name: str, known: Iterable[str], notes: Iterable[str] = ()) -> None:
        known = sorted(known)
        lines = [f"no {what} named {name!r}{did_you_mean(name, known)}"]
        near = [*get_close_matches(name.lower(), known, 5, 0), f"and {len(known) - 5} more"]
        lines += [f"  known: {', '.join(near if len(known) > 30 else known)}"] if known else []
        super().__init__("\n".join([*lines, *(f"  {note}" for note in notes)]))
        self.name = name


class DataError(UsageError):
    """A data file does not have the format that the task expects, or is missing (`DataMissing`)."""


class DataMissing(DataError):  # noqa: N818 - the cause alone says enough
    """The data of a task is at none of the places where it may be."""


class PluginError(UsageError):
    """A component of a plugin cannot be created, or two plugins offer the same name."""


class RunError(UsageError):
    """A run folder is missing, locked, or does not match what is requested."""


class StorageError(RunError):
    """A run cannot be written on this machine: a full disk, permissions, or too few open files."""

    exit_code = 5


class ServiceError(AisbError):
    """The service cannot be reached, refuses the key, or does not serve the requested model."""

    exit_code = 3


class CheckFailed(AisbError):  # noqa: N818 - the command worked; the result does not pass the check
    """A requested check failed (`--require-valid`, `--fail-on-regression`)."""

    exit_code = 4


class AttemptFailed(Exception):  # noqa: N818 - a failed attempt is expected under load, and is retried
    """One attempt at one request failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for a name that is near, or that `name` begins with; else ""."""
    known, name = list(known), name.lower()
    near = get_close_matches(name, known, 1) or [one for one in known if name.startswith(f"{one}_")]
    return f"; did you mean {max(near, key=len)!r}?" if near else ""


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return sorted names, joined by commas; after `most` names only the number of the others."""
    more = len(names) - most
    return ", ".join(sorted(names)[:most]) + (f" … and {more} more" if more > 0 else "")


def error_words(error: BaseException) -> str:
    """Describe an exception in one line, with the place where it was raised.

    The messages of import and syntax errors name the place themselves.
    """
    message = exception_message(error)
    if isinstance(error, ImportError):
        return message
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    place = "" if isinstance(error, SyntaxError) else exception_location(error)
    return f"{text} ({place})" if place else text


def exception_message(error: BaseException) -> str:
    """Return an exception's message in one line, or an empty string if it cannot be printed."""
    try:
        return " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a plugin may define the exception, and its __str__ may raise
        return ""


def exception_location(error: BaseException) -> str:
    """Return the file and line where an exception was raised, or an empty string if it was not raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}" if trace else ""
