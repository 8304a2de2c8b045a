"""Contain exceptions of plugins, so that one ends only the row, grade, report or command it occurred in.

The code that calls a component converts its exception to a `ComponentError`. The code that can continue
without the component records it in the run's `PluginFaults`: the traceback goes to a log file, and the last
lines of the run's output name each fault.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb._errors import (
    AisbError,
    PluginError,
    RunError,
    ServiceError,
    StorageError,
    exception_location,
    exception_message,
)
from aisb._types import Extract
from aisb_engine._masking import mask_secrets

if TYPE_CHECKING:
    from aisb._discovery import ComponentKind
    from aisb._evaluator import Postprocessor
    from aisb._plugins import Plugins
    from aisb._types import Sample
    from aisb_engine._record.runfolder import RunFolder

RAISED = (Exception, SystemExit, asyncio.CancelledError)
"""Exceptions that a call of a plugin may raise. Ctrl-C is not among them; see `is_stop` for cancellation."""


class ComponentError(PluginError):
    """A component raised an unexpected exception, which is the cause of this one.

    `what` names the component, `plugin` its plugin, and `during` the operation that failed.
    """

    def __init__(self, what: str, plugin: str, during: str, error: BaseException) -> None:
        super().__init__(f"{_subject(what, plugin, during)}: {describe(error)}")
        self.what = what
        self.plugin = plugin
        self.during = during
        self.error = error

    @classmethod
    def of(
        cls, plugins: Plugins, kind: ComponentKind, name: str, during: str, error: BaseException
    ) -> ComponentError:
        """Create the error for a component, with the name of its plugin."""
        return cls(f"{kind} {name!r}", owner(plugins, kind, name), during, error)


class StepError(Exception):
    """A postprocessor raised. Code that knows the plugins converts it to a `ComponentError`."""

    def __init__(self, step: str, error: BaseException) -> None:
        super().__init__(describe(error))
        self.step = step
        self.error = error


def call_step(name: str, step: Postprocessor, text: str, sample: Sample) -> Extract | str | None:
    """Call a postprocessor.

    Raises:
        StepError: it raised, or returned a value of another type.
    """
    try:
        found = step(text, sample)
        if isinstance(found, str):
            found.encode()  # lone surrogates cannot be saved as UTF-8
    except RAISED as error:
        raise StepError(name, error) from error
    if found is not None and not isinstance(found, str | Extract):
        wrong = TypeError(f"it returned {found!r:.80}; a step must return a text, an Extract, or None")
        raise StepError(name, wrong)
    if isinstance(found, Extract) and not (isinstance(found.text, str) and is_span(found.span)):
        wrong = TypeError(f"it returned {found!r:.80}; an Extract has a text, and a span of two positions")
        raise StepError(name, wrong)
    return found


def is_span(span: object) -> bool:
    """Return whether a value is a valid span: None, or two positions."""
    return span is None or (
        isinstance(span, tuple | list) and len(span) == 2 and all(isinstance(at, int) for at in span)
    )


@dataclass(slots=True)
class PluginFault:
    """One kind of failure of a component: its first message, and the samples or rows where it occurred."""

    what: str
    plugin: str
    message: str
    during: str = ""
    traced: bool = True
    places: dict[str, None] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The fault in one line, with the first place and the number of further ones."""
        at, *others = self.places or [""]
        place = f" at {at}" if at else ""
        more = f" (and {len(others):,} more like it)" if others else ""
        return f"{_subject(self.what, self.plugin, self.during)}{place}: {self.message}{more}"


class PluginFaults:
    """Collects the faults of plugins in one command. Without a folder they are counted, but not logged.

    If there is a `parent`, it records them too: this object then covers only a part of the command.
    """

    def __init__(self, folder: RunFolder | None = None, *, parent: PluginFaults | None = None) -> None:
        self.faults: list[PluginFault] = []
        self._folder = folder
        self._parent = parent
        self._known: dict[tuple[str, ...], PluginFault] = {}
        self._unwritten: list[str] = []

    @property
    def log(self) -> Path | None:
        """The log file for tracebacks."""
        return self._folder.plugin_log if self._folder else None

    def record(
        self, what: str, plugin: str, error: BaseException, *, during: str = "", place: str = ""
    ) -> str:
        """Log the traceback of an exception, count it, and return one line about it for the user.

        `what` is the component (`evaluator 'x'`), `plugin` its plugin (see `owner`), `during` the operation
        (`score`), and `place` the sample or row. Exceptions with the same origin are one fault with several
        places; only the first traceback is logged.
        """
        key = (what, plugin, during, type(error).__name__, exception_location(error))
        fault = self._known.get(key)
        text = ""
        if fault is None:
            fault = self._known[key] = PluginFault(
                what, plugin, describe(error), during, traced=not isinstance(error, AisbError)
            )
            self.faults.append(fault)
            text = "".join(traceback.format_exception(error))
        if place:
            fault.places[place] = None
        if self._parent:
            return self._parent.record(what, plugin, error, during=during, place=place)
        at = f" at {place}" if place else ""
        line = f"{_subject(what, plugin, during)}{at}: {describe(error)}"
        self._write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}\n{text}")
        return line if isinstance(error, AisbError) else self._with_log(line)

    def add(self, error: ComponentError, place: str = "") -> str:
        """Record an exception of a component; return one line about it for the user."""
        return self.record(error.what, error.plugin, error.error, during=error.during, place=place)

    def lines(self, *, kept: bool = True) -> Iterator[str]:
        """Yield a line for each fault, with the path of the log unless the folder is not `kept`."""
        for fault in self.faults:
            yield self._with_log(fault.line) if kept and fault.traced else fault.line

    def _with_log(self, line: str) -> str:
        return f"{line}; traceback: {self.log}" if self.log and self.log.exists() else line

    def _write(self, text: str) -> None:
        """Append to the log; hold the text back until the run folder exists."""
        self._unwritten.append(mask_secrets(text))
        if self._folder is None or self.log is None or not self._folder.path.is_dir():
            return
        with suppress(OSError):  # a full disk: the fault is still counted and named in the output
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(self._unwritten)
            self._unwritten.clear()


def make(
    plugins: Plugins,
    kind: ComponentKind,
    name: str,
    options: Mapping[str, Any],
    /,
    *,
    where: str,
    **context: Any,
) -> Any:
    """Create a component like `Plugins.make`.

    Raises:
        ComponentError: its factory raised an unexpected exception.
        UsageError: it does not exist, cannot be imported, or does not take these options.
    """
    try:
        return plugins.make(kind, name, options, where=where, **context)
    except PluginError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if error.__cause__ is None or frame.f_code is not type(plugins).make.__code__:
            raise  # the factory says itself what is wrong, or could not be imported
        raise ComponentError.of(plugins, kind, name, "its factory", error.__cause__) from error.__cause__


@contextmanager
def calling(plugins: Plugins, kind: ComponentKind, name: str, during: str) -> Iterator[None]:
    """Convert unexpected exceptions in the block to an error that names the component which is called there.

    Raises:
        ComponentError: the block raised something that is not an `AisbError`.
    """
    try:
        yield
    except AisbError:
        raise
    except RAISED as error:
        if is_stop(error):
            raise
        raise ComponentError.of(plugins, kind, name, during, error) from error


def exception_table(error: BaseException) -> list[str]:
    """Return an exception as texts that another process can read: type, message and traceback."""
    name = AisbError.__name__ if isinstance(error, AisbError) else type(error).__name__
    trace = "".join(traceback.format_exception(error))
    return [name, str(error) if isinstance(error, AisbError) else exception_message(error), trace]


def exception_from(table: Sequence[str]) -> Exception:
    """Return an exception of another process: its class has the name, and its note is the traceback there."""
    name, words, trace = table
    if name == AisbError.__name__:
        return AisbError(words)
    error: Exception = type(str(name), (Exception,), {"__module__": "builtins"})(words)
    error.add_note(trace)
    return error


def worker_error(message: Mapping[str, Any]) -> AisbError:
    """Return the error in a message of another process, with its original class."""
    kinds: Sequence[type[AisbError]] = (StorageError, ServiceError)
    kind = next((kind for kind in kinds if message.get("exit_code") == kind.exit_code), RunError)
    return kind(message["error"])


def backend_text(method: Callable[[], object], note: Callable[[str], None]) -> str:
    """Return a line that a backend's method returns; if it raises, call `note` and return an empty line."""
    try:
        return str(method() or "")
    except RAISED as error:
        note(f"the backend failed in {getattr(method, '__name__', 'a method')}: {describe(error)}")
        return ""


def owner(plugins: Plugins, kind: ComponentKind, name: str) -> str:
    """Return the plugin that offers a component, with distribution and version."""
    component = plugins.find(kind, name)
    versions = {info.name: info.version for info in plugins.infos}
    version = versions.get(component.plugin)
    return f"{component.plugin} ({component.distribution}{f' {version}' if version else ''})"


def is_stop(error: BaseException) -> bool:
    """Return whether the engine itself cancelled the current task, so that no plugin is at fault."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def exception_text(error: BaseException) -> str:
    """Return an exception's type and message in one line."""
    message = exception_message(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def describe(error: BaseException) -> str:
    """Return an exception's type, message and place in one line; only the message of an `AisbError`."""
    if isinstance(error, AisbError):  # its message is written for users
        return str(error)
    text = mask_secrets(exception_text(error))
    location = exception_location(error)
    return f"{text} ({location})" if location else text


def _subject(what: str, plugin: str, during: str) -> str:
    return f"{what} of plugin {plugin} failed{f' in {during}' if during else ''}"
