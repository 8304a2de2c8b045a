"""Read a run folder as a `FinishedRun`, the value that reporters get."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from aisb import FinishedRun, PerformanceResult, Prediction, Result, Sample
from aisb._errors import RunError
from aisb._types import OUTCOMES, Metric, Row
from aisb_engine._record.episodes import read_episodes
from aisb_engine._record.loadfiles import IMPORTED
from aisb_engine._record.log import read_folder
from aisb_engine._record.manifest import other_sessions
from aisb_engine._record.old_keys import update_keys
from aisb_engine._record.predictions import RenderedSample, read_samples, to_line
from aisb_engine._record.runfolder import RunFolder, read_json
from aisb_engine._record.scores import read_scores
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.thoughts import reasoning_spans
from aisb_engine._reporting.measuring import MeasuringOptions, measuring_options
from aisb_engine._reporting.reporters import reporter_names
from aisb_engine._spec import MarksTable

if TYPE_CHECKING:
    from aisb._plugins import Plugins

ModelAndTask = tuple[str, str]
RESULTS = "results/*/*.json"


def open_finished_run(
    folder: Path, *, plugins: Plugins | None = None, measuring: MeasuringOptions | None = None
) -> FinishedRun:
    """Open a run folder. Nothing is sent, scored or written.

    `measuring` has the options for measuring the performance, by default those of the reporters in the run's
    own configuration. They need the plugins: without `plugins`, these are loaded at the first use of
    `performance`.

    Raises:
        RunError: it is not a run folder, or a result or the configuration in it is damaged.
    """
    if not (folder / "configs").is_dir() and not (folder / "results").is_dir():
        reason = "has neither configs/ nor results/" if folder.is_dir() else "does not exist"
        raise RunError(
            f"{folder} is not a run folder: it {reason}\n"
            f"  name the folder of one run, such as outputs/default/20261121_220301"
        )
    files = RunFolder(folder)
    config = _read_config(files.config)
    found = {
        (result.model, result.task): result
        for result in (_read_result(files, file) for file in sorted(files.own_files.glob(RESULTS)))
    }
    requested = [(pair["model"], pair["task"]) for pair in config.get("subtasks", ())]
    tasks = config.get("tasks", {})
    evaluated = [pair for pair in requested if tasks.get(pair[1], {}).get("evaluate", True)]
    pairs = list(dict.fromkeys([*evaluated, *found]))
    manifest: Mapping[str, Any] = {}
    with suppress(RunError):  # a run without a manifest can still be shown
        manifest = read_json(files.manifest)
        manifest = {**manifest, "sessions": [*manifest.get("sessions", ()), *other_sessions(files)]}
    return FinishedRun(
        folder=folder,
        timestamp=folder.resolve().name,
        models=tuple(dict.fromkeys(model for model, _ in pairs)),
        tasks=tuple(dict.fromkeys(task for _, task in pairs)),
        results=tuple(found[pair] for pair in pairs if pair in found),
        unscored=tuple(pair for pair in pairs if pair not in found),
        is_performance=bool(config.get("run", {}).get("performance")),
        configuration=config,
        manifest=manifest,
        performance=MeasuredPairs(files, _with_log(files, requested), config, plugins, measuring),
        source=RunFiles(files, [*pairs, *requested], plugins, config.get("models", {})),
    )


class RunFiles:
    """The rows in the files of a run."""

    def __init__(
        self,
        folder: RunFolder,
        pairs: Sequence[ModelAndTask],
        plugins: Plugins | None,
        models: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._folder = folder
        self._pairs = pairs
        self._plugins = plugins
        self._models = models

    def rows(
        self, kind: Literal["scores", "requests", "samples"], model: str | None, task: str | None
    ) -> Iterator[Row]:
        """Yield the rows of one kind; None selects all models, or all tasks."""
        read = {"scores": self._scores, "requests": self._requests, "samples": self._samples}[kind]
        for pair in self._all_pairs():
            if model in {None, pair[0]} and task in {None, pair[1]}:
                for row in read(*pair):
                    yield {"model": pair[0], "task": pair[1], **row}

    def open(self, folder: Path) -> FinishedRun:
        """Open another run."""
        return open_finished_run(folder, plugins=self._plugins)

    def _all_pairs(self) -> list[ModelAndTask]:
        """Return the pairs of the run, then others that have files."""
        own, path = self._folder.own_files, self._folder.path
        files = sorted([*own.glob("predictions/*/*.jsonl"), *path.glob("log/*/*/worker-*")])
        others = [
            (file.parent.name, file.stem) if file.suffix == ".jsonl" else (file.parts[-3], file.parts[-2])
            for file in files
        ]
        return list(dict.fromkeys([*self._pairs, *others]))

    def _scores(self, model: str, task: str) -> Iterator[Row]:
        for graded in read_scores(self._folder, model, task) or ():
            yield graded._asdict()

    def _requests(self, model: str, task: str) -> Iterator[Row]:
        marks = known_marks(self._plugins, MarksTable(**self._models.get(model, {}).get("marks", {})))
        episodes = read_episodes(self._folder.log(model, task))
        for row in self._lines(model, task):
            episode = episodes.get((row["id"], row["repeat"]))
            is_end = episode is not None and row["turn"] == episode.turns - 1
            yield {
                **row,
                "reasoning_spans": reasoning_spans(row["prediction"] or "", marks),
                "messages": list(episode.messages) if episode and is_end else None,
            }

    def _lines(self, model: str, task: str) -> Iterator[Row]:
        path = self._folder.predictions(model, task)
        if not path.exists():  # a performance run has its answers only in the log
            yield from self._logged(model, task)
            return
        place = str(path.relative_to(self._folder.path))
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield {**orjson.loads(line), "file": place, "line": number}

    def _logged(self, model: str, task: str) -> Iterator[Row]:
        log = self._folder.log(model, task)
        if not log.is_dir():
            return
        rendered: dict[str, RenderedSample] = {}
        with suppress(RunError):
            rendered = {one.sample.id: one for one in read_samples(self._folder, model, task).samples}
        for prediction in read_folder(log).latest.values():
            one = rendered.get(prediction.sample_id) or RenderedSample(Sample(prediction.sample_id, {}), "")
            yield {
                **_plain_line(one, prediction),
                "file": str(log.relative_to(self._folder.path)),
                "line": None,
            }

    def _samples(self, model: str, task: str) -> Iterator[Row]:
        with suppress(RunError):  # there are predictions, but no log
            for one in read_samples(self._folder, model, task).samples:
                yield {
                    "id": one.sample.id,
                    "group": one.sample.group,
                    "target": one.sample.target,
                    "choices": one.sample.choices,
                    "prompt": one.prompt,
                    "fields": one.sample.fields,
                }


class MeasuredPairs(Mapping[ModelAndTask, PerformanceResult]):
    """The measurements of each (model, task) with a log, computed at first use and cached."""

    def __init__(
        self,
        folder: RunFolder,
        pairs: Sequence[ModelAndTask],
        config: Mapping[str, Any],
        plugins: Plugins | None,
        measuring: MeasuringOptions | None,
    ) -> None:
        self._folder = folder
        self._pairs = pairs
        self._config = config
        self._plugins = plugins
        self._measuring = measuring
        self._measured: dict[ModelAndTask, PerformanceResult] = {}

    def __getitem__(self, pair: ModelAndTask) -> PerformanceResult:
        if pair not in self._pairs:
            raise KeyError(pair)
        if pair not in self._measured:
            self._measured[pair] = self._measure(*pair)
        return self._measured[pair]

    def __iter__(self) -> Iterator[ModelAndTask]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def _measure(self, model: str, task: str) -> PerformanceResult:
        from aisb_engine._performance.performance import DEFAULT_PERCENTILES, measure

        if self._measuring is None:
            self._measuring = self._configured()
        count_tokens = None
        if tokenizer := self._measuring.tokenizer_for(model):
            from aisb_engine._data.tokens import load_tokenizer

            count_tokens = load_tokenizer(tokenizer).count
        return measure(
            self._folder,
            model,
            task,
            percentiles=DEFAULT_PERCENTILES
            if self._measuring.percentiles is None
            else self._measuring.percentiles,
            objectives=self._measuring.objectives,
            tiers=self._measuring.tiers,
            count_tokens=count_tokens,
        )

    def _configured(self) -> MeasuringOptions:
        from aisb._plugins import Plugins

        run = self._config.get("run", {})
        plugins = self._plugins or Plugins.load()
        names = run.get("reporters")
        if names is None:
            names = reporter_names("performance", plugins)
        return measuring_options(
            names,
            run.get("reporter_options", {}),
            plugins,
            self._config.get("models", {}),
            tiers=run.get("tiers", {}),
        )


def _with_log(folder: RunFolder, requested: Iterable[ModelAndTask]) -> list[ModelAndTask]:
    """Return the pairs with a log, first those of the run in its order."""
    files = [*folder.path.glob("log/*/*/worker-*"), *folder.path.glob(f"log/*/*/{IMPORTED}")]
    logs = {(path.parts[-3], path.parts[-2]) for path in files}
    return [pair for pair in dict.fromkeys([*requested, *sorted(logs)]) if pair in logs]


def _plain_line(rendered: RenderedSample, prediction: Prediction) -> Row:
    """Return a prediction with the types that its line in a file has."""
    line: Row = orjson.loads(orjson.dumps(to_line(rendered, prediction), default=str))
    return line


def _read_config(file: Path) -> dict[str, Any]:
    """Read the resolved configuration; empty if there is none."""
    try:
        config = tomllib.loads(file.read_text("utf-8"))
        for pair in config.get("subtasks", ()):
            _ = pair["model"], pair["task"]
        for task in config.get("tasks", {}).values():
            task.get("evaluate")
        config.get("run", {}).get("performance")
        return config
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RunError(
            f"{file} is damaged: {error}\n  it has the run's configuration: restore it, or start a new run"
        ) from error


def _read_result(files: RunFolder, file: Path) -> Result:
    try:
        return _result(files, file, update_keys(file, json.loads(file.read_bytes())))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{file} is not a result: {reason}\n  score the run again: {files.command('aisb score')}"
        ) from error


def _result(files: RunFolder, file: Path, data: Mapping[str, Any]) -> Result:
    known = ("name", "value", "low", "high", "unit", "count", "group", "better")
    bounds = data.get("bounds")
    error = data.get("first_error")
    return Result(
        model=data["model"],
        task=data["task"],
        version=data["version"],
        mode=data["mode"],
        file=file,
        variant=data.get("variant"),
        metrics=tuple(
            Metric(
                **{key: value for key, value in metric.items() if key in known},
                groups=tuple(metric["groups"]) if metric.get("groups") else None,
            )
            for metric in data["metrics"]
        ),
        outcomes={outcome: data.get("outcomes", {}).get(outcome, 0) for outcome in OUTCOMES},
        bounds=(bounds[0], bounds[1]) if bounds else None,
        predictions=data.get("predictions", 0),
        not_sent=data.get("not_sent", 0),
        failed=data.get("failed", 0),
        first_error=(error["request"], error["log"]) if error else None,
        merge=data.get("merge", False),
        faults=tuple(data.get("faults", ())),
        trial=tuple(data.get("trial", ())),
        doubts=tuple(_doubts(data, files.command("aisb audit"))),
    )


def _doubts(data: Mapping[str, Any], audit: str) -> Iterator[str]:
    """Yield reasons why the headline of a result may be inaccurate; `audit` is the command to check them."""
    if found := data.get("disputed"):
        yield (
            f"{found['by']} reads {found['answers']:,} of {found['read']:,} answers differently, "
            f"which could change the score by {found['move']:.1f} points: check them with: {audit}"
        )
