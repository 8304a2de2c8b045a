"""The options by which a performance run is measured: those of its reporters that have certain roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aisb import Dialects, Objectives, Percentiles, ReplyTokenizer, Role
from aisb._errors import ConfigError, PluginError, UnknownName, UsageError
from aisb._options import REQUIRED, options
from aisb._plugins import Plugins
from aisb_engine._spec import Model


@dataclass(frozen=True, slots=True)
class MeasuringOptions:
    """The options that the numbers of a performance run depend on; None selects the engine's defaults.

    `objectives` are latency limits in milliseconds by name. `tokenizer` is the folder of a tokenizer that
    counts the tokens of replies if the service does not; without it, `tokenizers` has one for each model.
    `tiers` are limits for the requests of a session.
    """

    percentiles: Sequence[float] | None = None
    objectives: Mapping[str, float] = field(default_factory=dict)
    tokenizer: str | None = None
    tokenizers: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tokenizer_for(self, model: str) -> str | None:
        """Return the folder of the tokenizer that counts a model's tokens; None if there is none."""
        return self.tokenizer or self.tokenizers.get(model)


class RoleValue(NamedTuple):
    """The value of a reporter's option with a role; `where` is the reporter's path in a configuration."""

    role: type[Role]
    value: Any
    where: str
    is_set: bool


def measuring_options(
    names: Iterable[str],
    reporter_options: Mapping[str, Mapping[str, Any]],
    plugins: Plugins,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    tiers: Mapping[str, Mapping[str, Any]] | None = None,
) -> MeasuringOptions:
    """Return the union of what the reporters of a run show, so that it is measured once for all of them.

    `names` are the reporters of the run, `models` its tables of models, `tiers` its tiers. A value
    that the configuration sets overrides a default, and the first one wins. Of a reporter that is configured
    but does not run, only set values count.
    """
    values = list(role_values(names, reporter_options, plugins))
    values.sort(key=lambda one: not one.is_set)

    def first(role: type[Role]) -> Any:
        return next((one.value for one in values if one.role is role and (one.is_set or one.value)), None)

    tokenizers = {
        name: str(table["tokenizer"]) for name, table in (models or {}).items() if "tokenizer" in table
    }
    return MeasuringOptions(
        first(Percentiles), first(Objectives) or {}, first(ReplyTokenizer), tokenizers, tiers or {}
    )


def check_tokenizers(models: Mapping[str, Model]) -> None:
    """Check that the tokenizers of models can be loaded, before anything is measured.

    Raises:
        ConfigError: one cannot be loaded.
    """
    from aisb_engine._data.tokens import load_tokenizer

    for name, model in models.items():
        if model.tokenizer:
            try:
                load_tokenizer(model.tokenizer)
            except UsageError as error:
                raise ConfigError(f"models.{name}.tokenizer", str(error)) from error


def check_measuring(
    names: Sequence[str],
    reporter_options: Mapping[str, Mapping[str, Any]],
    plugins: Plugins,
    *,
    performance: bool,
) -> None:
    """Validate the options before anything is measured.

    Options of reporters that are configured but do not run only apply to a `performance` run.

    Raises:
        ConfigError: a percentile, objective, tokenizer or tool is invalid.
    """
    if not performance:
        reporter_options = {name: reporter_options.get(name, {}) for name in names}
    for role, value, where, is_set in role_values(names, reporter_options, plugins):
        if is_set and value:
            try:
                _check(role, value)
            except UsageError as error:
                if type(error) in {UsageError, UnknownName}:
                    raise ConfigError(where, str(error)) from error
                raise


def check_tiers(tiers: Mapping[str, Mapping[str, Any]]) -> None:
    """Validate tiers before anything is measured.

    Raises:
        ConfigError: a limit is invalid.
    """
    if not tiers:  # most runs have none, and accuracy runs need no module of performance
        return
    from aisb_engine._performance.sessions import checked_tier

    for name, limits in tiers.items():
        try:
            checked_tier(name, limits)
        except UsageError as error:
            raise ConfigError(f"run.tiers.{name}", str(error)) from error


def role_values(
    names: Iterable[str], reporter_options: Mapping[str, Mapping[str, Any]], plugins: Plugins
) -> Iterator[RoleValue]:
    """Yield the options of reporters with a role: of those that run, then of others that are configured."""
    shown = list(names)
    for name in dict.fromkeys([*shown, *reporter_options]):
        table = reporter_options.get(name, {})
        declared: list[Any] = []
        with suppress(UnknownName, PluginError):  # reported when the reporter is created
            declared = options(plugins.find("reporter", name).factory)
        for option in declared:
            is_set = option.name in table
            if not is_set and (name not in shown or option.default is REQUIRED):
                continue
            value = table[option.name] if is_set else option.default
            for role in option.roles:
                yield RoleValue(role, value, f"run.reporter_options.{name}", is_set)


def _check(role: type[Role], value: Any) -> None:
    if role is Dialects:
        from aisb_engine._performance.dialects import dialect

        for name in value:
            dialect(name)
    elif role is Percentiles or role is Objectives:
        from aisb_engine._performance.performance import checked

        checked(value if role is Percentiles else (), value if role is Objectives else {})
    elif role is ReplyTokenizer:
        from aisb_engine._data.tokens import load_tokenizer

        load_tokenizer(value)
