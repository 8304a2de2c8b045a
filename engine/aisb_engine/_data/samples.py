"""Make samples from rows: derived fields, target, choices, group, and an id.

An id is the position of the row in its source, counted before any selection, so it does not depend on it. In
a task with groups it is the group, `/`, and the position in the group.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from aisb._errors import ConfigError, DataError
from aisb._evaluator import Postprocessor
from aisb._templates import Template, as_text, optional
from aisb._types import Extract, Row, Sample
from aisb_engine._faults import RAISED, ComponentError, StepError, call_step, make

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._spec import Task, Use

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row for which a plugin raised: what is known of its sample, and the error."""

    sample: Sample
    error: ComponentError

    @property
    def id(self) -> str:
        """The sample's id: the position of the row in its source."""
        return self.sample.id

    @property
    def group(self) -> str | None:
        """The sample's group."""
        return self.sample.group


def sample_table(task: Task) -> dict[str, Any]:
    """Return a task's `[sample]` table in the form of the log."""
    return task.sample.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class SampleMaker:
    """Makes samples from rows by the `[sample]` table of a task."""

    def __init__(self, task: Task, plugins: Plugins) -> None:
        table = task.sample
        self._plugins = plugins
        self._use = task.dataset.use
        self._seed = table.shuffle
        self._fields = [
            (
                name,
                Template(made.value, f"task.sample.fields.{name}.value"),
                self._steps(made.clean, f"fields.{name}."),
            )
            for name, made in table.fields.items()
        ]
        self._target = optional(table.target, "task.sample.target")
        self._clean = self._steps(table.clean, "")
        self._letter = optional(table.target_letter, "task.sample.target_letter")
        self._index = optional(table.target_index, "task.sample.target_index")
        self._may_lack_target = table.require_target
        self._group = optional(table.group, "task.sample.group")
        self._cluster = optional(table.cluster, "task.sample.cluster")
        self._max_tokens = optional(table.max_tokens, "task.sample.max_tokens")
        self._at = optional(table.at, "task.sample.at")
        self._choices: list[Template] = []
        self._choice_list: Template | None = None
        if isinstance(table.choices, str):
            self._choice_list = Template(table.choices, "task.sample.choices")
            if not self._choice_list.single:
                raise ConfigError(
                    "task.sample.choices",
                    "must be a list of templates, or one field that is a list: '{choices}'",
                )
        elif table.choices:
            self._choices = [
                Template(text, f"task.sample.choices.{position}")
                for position, text in enumerate(table.choices)
            ]
        self._check()

    def make(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Sample | BrokenRow]:
        """Yield a sample for each row; rows come with their position, which errors name.

        Raises:
            ComponentError: a row without a known group is broken. Skipping it would change the ids of later
                rows of its group once the plugin is fixed.
        """
        positions: dict[str | None, int] = {}
        for place, row in rows:
            try:
                yield self._made(row, positions)
            except (ConfigError, DataError) as error:
                error.args = (f"{error}\n  at {place}",)
                raise

    def _made(self, row: Row, positions: dict[str | None, int]) -> Sample | BrokenRow:
        """Make one sample; `positions` has the number of rows of each group before it."""
        broken: ComponentError | None = None
        try:
            fields = self._derived(row)
            group = self._group_of(fields)
        except (ConfigError, DataError):
            raise
        except RAISED as error:  # becomes the outcome of this sample
            broken = self._fault(error)
            fields, group = self._remains(row, broken)
        position = positions.get(group, 0)
        positions[group] = position + 1
        identity = str(position) if group is None else f"{group}/{position}"
        if broken is None:
            try:
                return self._sample(identity, fields, group)
            except (ConfigError, DataError):
                raise
            except RAISED as error:  # becomes the outcome of this sample
                broken = self._fault(error)
        return BrokenRow(Sample(identity, fields, group=group), broken)

    def again(self, sample: Sample) -> Sample:
        """Make a sample again from its own fields by the current table, with the same id.

        Raises:
            ComponentError: a plugin raised.
        """
        try:
            fields = self._derived(sample.fields)
            return self._sample(sample.id, fields, self._group_of(fields))
        except (ConfigError, DataError):
            raise
        except RAISED as error:
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> ComponentError:
        """Create the error that names the step, or the dataset whose row does not fit."""
        if isinstance(error, StepError):
            return ComponentError.of(self._plugins, "postprocessor", error.step, "", error.error)
        return ComponentError.of(self._plugins, "dataset", self._use, "a row", error)

    def _derived(self, row: Row) -> dict[str, Any]:
        fields = dict(row)
        for name, template, steps in self._fields:
            where = f"task.sample.fields.{name}"
            fields[name] = _cleaned(template.render(fields), steps, Sample("", fields), where)
        return fields

    def _remains(self, row: Row, broken: ComponentError) -> tuple[dict[str, Any], str | None]:
        """Return the fields of a broken row that can be computed, and its group.

        Raises:
            ComponentError: the group cannot be computed.
        """
        fields = dict(row)
        for name, template, steps in self._fields:
            try:
                made = _cleaned(template.render(fields), steps, Sample("", fields), "")
            except RAISED:  # the row is broken for a reason that is known
                fields.pop(name, None)
            else:
                fields[name] = made
        try:
            return fields, self._group_of(fields)
        except RAISED:  # the row is broken for a reason that is known
            raise broken from broken.error

    def _group_of(self, fields: Row) -> str | None:
        group = self._group.render(fields) if self._group else None
        if group == "":
            raise DataError("task.sample.group: the group is empty")
        return group

    def _sample(self, identity: str, fields: Row, group: str | None) -> Sample:
        choices = self._chosen(fields)
        target = self._target_of(fields, len(choices))
        if self._seed is not None:
            choices, target = _shuffled(choices, target, Random(f"{self._seed}:{identity}"))
        if self._max_tokens:
            row_max_tokens(self._max_tokens, fields)
        if self._at:
            row_at(self._at, fields)
        return Sample(identity, fields, target, choices, group, self._cluster_of(fields))

    def _cluster_of(self, fields: Row) -> str | None:
        """Return a hash that identifies the cluster: the text itself, such as a passage, can be long."""
        if self._cluster is None:
            return None
        return hashlib.sha256(self._cluster.render(fields).encode()).hexdigest()[:12]

    def _chosen(self, fields: Row) -> tuple[str, ...]:
        if self._choice_list is None:
            choices = tuple([template.render(fields) for template in self._choices])
        else:
            found = self._choice_list.value(fields)
            if found is None:  # a question without options among others with options
                return ()
            if not isinstance(found, Sequence) or isinstance(found, str) or not found:
                shown = as_text(found)[:60]
                raise DataError(f"task.sample.choices: {self._choice_list.text} is {shown!r}, not a list")
            choices = tuple([as_text(choice) for choice in found])
        if len(choices) > len(LETTERS):
            raise DataError(f"task.sample.choices: {len(choices)} choices, but there are 26 letters")
        return choices

    def _target_of(self, fields: Row, count: int) -> Any:
        if self._letter or self._index:
            return self._letter_of(fields, count)
        if self._target is None:
            return None
        value = self._target.value(fields)
        sample = Sample("", fields)
        if isinstance(value, list | tuple):
            return [_cleaned(as_text(one), self._clean, sample, "task.sample.target") for one in value]
        if isinstance(value, Mapping) and not self._clean:
            return value
        return _cleaned(as_text(value), self._clean, sample, "task.sample.target")

    def _letter_of(self, fields: Row, count: int) -> str | None:
        """Return the letter of the correct option; None if the row has none and need not have one."""
        label = self._letter or self._index
        text = label.render(fields).strip() if label else ""
        if self._may_lack_target and not text:
            return None
        if self._letter:
            return LETTERS[_letter_index(text, count)]
        if not text.isdecimal() or int(text) >= count:
            raise DataError(
                f"task.sample.target_index: {text!r} is none of the {count} choices, counted from 0"
            )
        return LETTERS[int(text)]

    def _steps(self, uses: Iterable[Use], path: str) -> list[tuple[str, Postprocessor]]:
        return [
            (
                use.use,
                make(
                    self._plugins,
                    "postprocessor",
                    use.use,
                    use.options,
                    where=f"task.sample.{path}clean.{position}",
                ),
            )
            for position, use in enumerate(uses)
        ]

    def _check(self) -> None:
        given = [t for t in (self._target, self._letter, self._index) if t]
        if len(given) > 1:
            raise ConfigError(
                given[1].where, f"the target is already set by {given[0].where}; keep one of them"
            )
        has_choices = bool(self._choices or self._choice_list)
        if (self._letter or self._index) and not has_choices:
            raise ConfigError(
                (self._letter or self._index or given[0]).where,
                "needs choices, since it names one of them by letter or position",
            )
        if self._seed is not None and not (has_choices and (self._letter or self._index)):
            raise ConfigError(
                "task.sample.shuffle",
                "needs choices, and target_letter or target_index, so that the target can follow",
            )


def row_max_tokens(template: Template, fields: Row) -> int | None:
    """Return the row's own limit of output tokens, or None if its field is empty.

    Raises:
        DataError: the field is not a whole number of at least 1.
    """
    value = template.value(fields)
    if type(value) is int and value >= 1:
        return value
    text = template.render(fields).strip()
    if not text:
        return None
    number = text.removesuffix(".0")
    if not number.isdecimal() or int(number) < 1:
        raise DataError(f"task.sample.max_tokens: {text!r} is not a whole number of at least 1")
    return int(number)


def row_at(template: Template, fields: Row) -> float | None:
    """Return the row's own launch time in seconds, or None if its field is empty.

    Raises:
        DataError: the field is not a number of at least 0.
    """
    text = template.render(fields).strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise DataError(f"task.sample.at: {text!r} is not a number of seconds, counted from 0")
    return seconds


def _cleaned(text: str, steps: Sequence[tuple[str, Postprocessor]], sample: Sample, where: str) -> str:
    for name, step in steps:
        try:
            found = call_step(name, step, text, sample)
        except StepError as error:
            if isinstance(error.error, ConfigError | DataError):
                raise error.error from error.error.__cause__
            raise
        if found is None:
            raise DataError(f"{where}: the step {name!r} found nothing in {text[:200]!r}")
        text = found.text if isinstance(found, Extract) else found
    return text


def _letter_index(text: str, count: int) -> int:
    """Return the index for a letter (`B`, `(b)`) or a number from 1."""
    label = text.strip().strip("().").upper()
    index = LETTERS.find(label) if len(label) == 1 else -1
    if label.isdecimal():
        index = int(label) - 1
    if not 0 <= index < count:
        raise DataError(
            f"task.sample.target_letter: {text!r} is none of the {count} choices "
            f"A to {LETTERS[max(count - 1, 0)]}"
        )
    return index


def _shuffled(
    choices: tuple[str, ...], target: str | None, random: Random
) -> tuple[tuple[str, ...], str | None]:
    """Return the choices in random order, and the letter of the correct one in that order."""
    drawn = [random.random() for _ in choices]
    order = sorted(range(len(choices)), key=drawn.__getitem__)
    right = target and LETTERS[order.index(LETTERS.index(target))]
    return tuple(choices[index] for index in order), right
