"""Keep what a plugin raises from ending more than the thing that it was called for.

Whoever calls a component turns its exception into a `ComponentError`. Who can go on without it records that
in the run's `PluginFaults`: the traceback goes to the log, and the last lines of the run name each fault.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb._errors import AisbError, PluginError, exception_location, exception_message
from aisb._types import Extract
from aisb_engine._masking import mask_secrets

if TYPE_CHECKING:
    from aisb._discovery import ComponentKind
    from aisb._evaluator import Postprocessor
    from aisb._plugins import Plugins
    from aisb._types import Sample
    from aisb_engine._record.runfolder import RunFolder

RAISED = (Exception, SystemExit, asyncio.CancelledError)
"""What a call of a plugin may end with and be its fault. Ctrl-C is none, nor is what `is_stop` says."""


class ComponentError(PluginError):
    """A component raised something that is no error of the user; the cause is what it raised.

    `what` and `plugin` name the component and who offers it, `during` says what it was called for.
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
        """Name the component of a kind and a name, and its plugin."""
        return cls(f"{kind} {name!r}", owner(plugins, kind, name), during, error)


class StepError(Exception):
    """A step raised. Who knows the plugins makes a `ComponentError` of it."""

    def __init__(self, step: str, error: BaseException) -> None:
        super().__init__(describe(error))
        self.step = step
        self.error = error


def call_step(name: str, step: Postprocessor, text: str, sample: Sample) -> Extract | str | None:
    """Call a postprocessor.

    Raises:
        StepError: it raised, or returned something else than a postprocessor may.
    """
    try:
        found = step(text, sample)
        if isinstance(found, str):
            found.encode()  # what is kept is UTF-8
    except RAISED as error:
        raise StepError(name, error) from error
    if found is not None and not isinstance(found, str | Extract):
        wrong = TypeError(f"it returned {found!r:.80}; a step returns a text, an Extract, or None")
        raise StepError(name, wrong)
    if isinstance(found, Extract) and not (isinstance(found.text, str) and is_span(found.span)):
        wrong = TypeError(f"it returned {found!r:.80}; an Extract has a text, and as its span two positions")
        raise StepError(name, wrong)
    return found


def is_span(span: object) -> bool:
    """Say whether this is the span of a piece of text: None, or two positions."""
    return span is None or (
        isinstance(span, tuple | list) and len(span) == 2 and all(isinstance(at, int) for at in span)
    )


@dataclass(slots=True)
class PluginFault:
    """One way in which a component failed: its first message, and at what it failed like that."""

    what: str
    plugin: str
    message: str
    during: str = ""
    traced: bool = True
    places: dict[str, None] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The fault in one line: of several places the first, and how many more there are."""
        at, *others = self.places or [""]
        place = f" at {at}" if at else ""
        more = f" (and {len(others):,} more like it)" if others else ""
        return f"{_subject(self.what, self.plugin, self.during)}{place}: {self.message}{more}"


class PluginFaults:
    """The faults of plugins in one command. Without a folder they are counted, and not logged.

    `parent` records them, too: what has one is about a part of the command.
    """

    def __init__(self, folder: RunFolder | None = None, *, parent: PluginFaults | None = None) -> None:
        self.faults: list[PluginFault] = []
        self._folder = folder
        self._parent = parent
        self._known: dict[tuple[str, ...], PluginFault] = {}
        self._unwritten: list[str] = []

    @property
    def log(self) -> Path | None:
        """Where tracebacks are written."""
        return self._folder.plugin_log if self._folder else None

    def record(
        self, what: str, plugin: str, error: BaseException, *, during: str = "", place: str = ""
    ) -> str:
        """Log the traceback of an exception, count it, and return one line on it for the user.

        `what` is the component (`evaluator 'x'`), `plugin` who offers it (see `owner`), `during` what it was
        called for (`score`), `place` the sample or row. Exceptions that are alike are one fault with several
        places; the traceback of the first is logged.
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
        """Record what a component raised; return one line on it for the user."""
        return self.record(error.what, error.plugin, error.error, during=error.during, place=place)

    def lines(self, *, kept: bool = True) -> Iterator[str]:
        """Yield a line for each fault, with the place of its traceback, unless the folder is not kept."""
        for fault in self.faults:
            yield self._with_log(fault.line) if kept and fault.traced else fault.line

    def _with_log(self, line: str) -> str:
        return f"{line}; traceback: {self.log}" if self.log and self.log.exists() else line

    def _write(self, text: str) -> None:
        """Append to the log; before there is a run folder, keep the text for later."""
        self._unwritten.append(mask_secrets(text))
        if self._folder is None or self.log is None or not self._folder.path.is_dir():
            return
        with suppress(OSError):  # a full disk: the fault itself is still counted and named
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
    """Make a component as `Plugins.make` does.

    Raises:
        ComponentError: its factory raised an exception of its own.
        UsageError: it is not there, cannot be imported, or does not take these options.
    """
    try:
        return plugins.make(kind, name, options, where=where, **context)
    except PluginError as error:
        if error.__cause__ is None:
            raise
        _ = plugins.find(kind, name).factory  # one that cannot be imported raises that again
        raise ComponentError.of(plugins, kind, name, "its factory", error.__cause__) from error.__cause__


@contextmanager
def calling(plugins: Plugins, kind: ComponentKind, name: str, during: str) -> Iterator[None]:
    """Name the component whose method is called in the block, if it raises what is no error of the user.

    Raises:
        ComponentError: it did.
    """
    try:
        yield
    except AisbError:
        raise
    except RAISED as error:
        if is_stop(error):
            raise
        raise ComponentError.of(plugins, kind, name, during, error) from error


def backend_words(method: Callable[[], object], note: Callable[[str], None]) -> str:
    """Return what a backend says of itself by a method; nothing, with a note, where it raises."""
    try:
        return str(method() or "")
    except RAISED as error:
        note(f"the backend failed in {getattr(method, '__name__', 'a method')}: {describe(error)}")
        return ""


def owner(plugins: Plugins, kind: ComponentKind, name: str) -> str:
    """Return the plugin that offers a component, with its distribution and version."""
    component = plugins.find(kind, name)
    versions = {info.name: info.version for info in plugins.infos}
    version = versions.get(component.plugin)
    return f"{component.plugin} ({component.distribution}{f' {version}' if version else ''})"


def is_stop(error: BaseException) -> bool:
    """Say whether the engine itself cancelled the present task, so that this is no plugin's exception."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def exception_words(error: BaseException) -> str:
    """Return an exception's kind and message in one line; one that cannot be printed has no message."""
    message = exception_message(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def describe(error: BaseException) -> str:
    """Return an exception's kind, message and place in one line; of an `AisbError` the message alone."""
    if isinstance(error, AisbError):  # it says what to do
        return str(error)
    text = mask_secrets(exception_words(error))
    location = exception_location(error)
    return f"{text} ({location})" if location else text


def _subject(what: str, plugin: str, during: str) -> str:
    return f"{what} of plugin {plugin} failed{f' in {during}' if during else ''}"
