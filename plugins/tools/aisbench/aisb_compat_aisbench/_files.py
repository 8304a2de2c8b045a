"""Find config files and their includes by name, and read each once, without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb import ConfigError
from aisb_compat_aisbench._evaluator import Evaluator, parse
from aisb_compat_aisbench._expressions import Scope
from aisb_compat_aisbench._known import ORIGIN, known_abbrs, stub
from aisb_compat_aisbench._values import Budget, TooMuchError, UnreadableError

MAX_CONFIG_BYTES = 1_000_000
"""The largest config file that is read, in bytes; the reference's largest has 51,230."""
NESTED = 8
LARGEST_RESULT = 500_000
"""The maximum number of values in a file, including nested ones; the reference's largest has 85,513."""
RESULTS = ("models", "datasets", "model_dataset_combinations", "work_dir")
CONFIG_NAME = re.compile(r"[\w.+@=-]+")
PACKAGE = "ais_bench.benchmark.configs"
"""The package from which config files include the reference's own."""
DATA_PACKAGE = "ais_bench.datasets"
"""The package of the reference's data folder, which contains a config of the synthetic data."""


@dataclass(slots=True)
class ConfigFile:
    """A parsed config file: its names, and the files that it includes."""

    path: Path
    scope: Scope
    included: list[Path] = field(default_factory=list)


def read_config(path: Path, folders: Sequence[Path] = ()) -> ConfigFile:
    """Read a config file. It may include files below its own folder and below `folders`.

    Raises:
        ConfigError: parts cannot be read; the message lists them with their lines.
    """
    roots = [_resolved(path.parent), *map(_resolved, folders)]
    reader = _Reader([*roots, *_data_folders(roots)], Budget())
    scope = reader.read(path, [])
    budget = Budget(steps=LARGEST_RESULT)
    try:
        for name, value in scope.items():
            if name in RESULTS or name.endswith("datasets"):
                budget.weigh(value)
    except UnreadableError as error:
        raise ConfigError(f"{path}: {name}", error.reason) from error
    return ConfigFile(path, scope, list(reader.files))


def config_folders(given: Path | None) -> list[Path]:
    """Return the folders in which config files are searched, in order of precedence.

    A folder that the user named must exist. `./configs` is the reference's own default, and
    `./ais_bench/benchmark/configs` is where its config files lie in a copy of its repository.
    """
    if given is not None and not given.is_dir():
        raise ConfigError(f"--config-dir {given}", "there is no such folder")
    places = [given] if given else [Path("configs")]
    places.append(Path("ais_bench/benchmark/configs"))
    return [place for place in places if (place / "models").is_dir() or (place / "datasets").is_dir()]


def find_config(kind: str, name: str, folders: Sequence[Path]) -> Path | None:
    """Return the config file of a name below `models/` or `datasets/` of the folders; the first one found."""
    if not CONFIG_NAME.fullmatch(name):
        return None
    for folder in folders:
        found = sorted((folder / kind).rglob(f"{name.removesuffix('.py')}.py"))
        if found:
            return found[0]
    return None


def data_sets(file: ConfigFile, ending: str = "_datasets") -> list[dict[str, Any]]:
    """Return the data sets of all lists of a file with a name ending, each abbreviation once."""
    lists = [value for key, value in file.scope.items() if key.endswith(ending) and isinstance(value, list)]
    members = {str(one.get("abbr")): one for value in lists for one in value if isinstance(one, dict)}
    mark([*members.values()], file.path.stem)
    return [*members.values()]


def config_files(folder: Path) -> Iterator[Path]:
    """Yield the config files below a folder, in order, without those of summarizers, which have no effect."""
    for path in sorted(folder.rglob("*.py")):
        if not path.name.startswith("_") and "summarizers" not in path.relative_to(folder).parts:
            yield path


class _Reader:
    """Reads a file and its includes within one budget."""

    def __init__(self, roots: Sequence[Path], budget: Budget) -> None:
        self.roots = roots
        self.budget = budget
        self.files: dict[Path, Scope] = {}

    def read(self, path: Path, above: list[Path]) -> Scope:
        try:
            evaluator = Evaluator(_Includes(self, path, above), self.budget, str(path.absolute()))
            evaluator.run(parse(_text(path)))
        except UnreadableError as error:
            where = f"{path}: line {error.line}" if error.line else str(path)
            raise ConfigError(where, error.reason) from error
        if evaluator.problems:
            lines = [f"line {line}: {reason}" for line, reason in evaluator.problems]
            raise ConfigError(
                str(path), "\n  ".join(["config files are not run, and these parts cannot be read:", *lines])
            )
        _mark_origin(evaluator.scope, path.stem)
        return evaluator.scope

    def include(self, path: Path, above: list[Path]) -> Scope:
        if path in self.files:
            return self.files[path]
        if path in above:
            raise UnreadableError(f"{path.name} includes itself")
        if len(above) >= NESTED:
            raise UnreadableError(f"includes are nested more than {NESTED} deep")
        try:
            self.files[path] = self.read(path, above)
        except ConfigError as error:
            raise TooMuchError(f"includes {error}") from error
        return self.files[path]


class _Includes:
    """Finds what one file includes."""

    def __init__(self, reader: _Reader, path: Path, above: list[Path]) -> None:
        self.reader = reader
        self.path = path
        self.above = above

    def include(self, module: str, level: int) -> Scope:
        """Return the names of an included file, or those of a config that comes with the reference."""
        parts = module.split(".") if module else []
        if level:
            folder = _resolved(self.path).parent
            for _ in range(level - 1):
                folder = folder.parent
            return self._file(folder.joinpath(*parts).with_suffix(".py"), module)
        inside = module.startswith(f"{PACKAGE}.")
        rest = parts[len(PACKAGE.split(".")) :] if inside else parts
        for root in self.reader.roots:
            place = root.joinpath(*rest).with_suffix(".py")
            if place.is_file():
                return self._file(place, module)
        if module.startswith(f"{DATA_PACKAGE}."):
            below = parts[len(DATA_PACKAGE.split(".")) :]
            for root in _data_folders(self.reader.roots):
                return self._file(root.joinpath(*below).with_suffix(".py"), module)
        if inside and (found := stub(rest[0], rest[-1])) is not None:
            return found
        where = "the config folder" if inside else "this file's folder or the config folder"
        raise UnreadableError(f"{module} is not below {where}, and no config of this name is known")

    def _file(self, place: Path, module: str) -> Scope:
        real = place.resolve()
        if not any(real.is_relative_to(root) for root in self.reader.roots):
            raise UnreadableError(
                f"{module or place.name} lies outside of this file's folder and the config folder"
            )
        if not real.is_file():
            found = stub("datasets", place.stem) or stub("models", place.stem)
            if found is None:
                raise UnreadableError(f"there is no file {place} to include")
            return found
        return self.reader.include(real, [*self.above, _resolved(self.path)])


def _data_folders(roots: Sequence[Path]) -> list[Path]:
    """Return the data folders of the copies of the reference whose config folders these are."""
    names = tuple(PACKAGE.split("."))
    folders = [root.parents[1] / "datasets" for root in roots if root.parts[-len(names) :] == names]
    return [_resolved(folder) for folder in dict.fromkeys(folders) if folder.is_dir()]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UnreadableError(f"is larger than {MAX_CONFIG_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError("is not UTF-8") from error


def _resolved(path: Path) -> Path:
    return path.resolve()


def _mark_origin(scope: Scope, name: str) -> None:
    """Store in each data set of a file its origin: the included file, or this file.

    If a file collects all data sets of several others, that file is the origin.
    """
    for variable, values in scope.items():
        if variable.endswith("datasets") and isinstance(values, list):
            mark([value for value in values if isinstance(value, dict)], name)


def mark(members: Sequence[dict[str, Any]], name: str) -> None:
    """Store the origin in the data sets of a list; see `_mark_origin`."""
    origins = {str(value[ORIGIN]) for value in members if ORIGIN in value}
    whole = len(origins) > 1 and {str(value.get("abbr")) for value in members} == set(known_abbrs(name))
    for value in members:
        if whole or ORIGIN not in value:
            value[ORIGIN] = {"config": name, "abbr": value.get("abbr")}
