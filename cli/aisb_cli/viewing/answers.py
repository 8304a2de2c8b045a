"""Serve the answers of a run to the browser of samples: filtered pages, a search, and single samples.

An index keeps a short row for each answer and the place of its line in the file of predictions, so that a run
of many thousand samples needs little memory here, and the page gets only the rows that are in view.
"""

from __future__ import annotations

import os.path
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from aisb import OUTCOMES, FinishedRun, Row, RunError
from aisb_cli.viewing.row_texts import Questions, as_text, question_of, shorten
from aisb_engine import RunFolder

UNSCORED = len(OUTCOMES)
OUTCOME_NAMES = (*OUTCOMES, "unscored")
MAX_ROWS = 500
"""The maximum number of rows on a page."""


class Place(NamedTuple):
    """Where the row of a request is: a file with a byte range, and the reasoning in its output."""

    file: Path | None
    start: int
    length: int
    line: int | None
    shown_file: str
    spans: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Entry:
    """One answer: what its row shows, the places of its turns, and its scores as JSON."""

    task: str
    model: str
    id: str
    repeat: int
    group: str | None
    gold: str | None
    begins: str
    tokens: int | None
    places: list[Place]
    outcome: int = UNSCORED
    answer: str | None = None
    scores: list[bytes] = field(default_factory=list)


class Selection(NamedTuple):
    """The filters of a page of rows; an empty value selects all."""

    task: str = ""
    model: str = ""
    group: str = ""
    outcomes: frozenset[int] = frozenset()
    query: str = ""
    differ: bool = False


class Answers:
    """The answers of one run, in the order of task, sample, repeat and model.

    Raises:
        RunError: a file of the run is damaged.
    """

    def __init__(self, run: FinishedRun) -> None:
        self._run = run
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the index
        self.entries: list[Entry] = []
        self.order: dict[str, dict[str, int]] = {}  # by task: sample ids in their order
        for model, task in _pairs(run):
            try:
                self._read(model, task)
            except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
                raise RunError(
                    f"the predictions of {model} on {task} in {run.folder} cannot be read: {error}\n"
                    f"  write them again from the log: {RunFolder(run.folder).command('aisb score')}"
                ) from error
        models = {name: place for place, name in enumerate(run.models)}
        places = {name: place for place, name in enumerate(self.order)}
        self.entries.sort(
            key=lambda one: (
                places[one.task],
                self.order[one.task][one.id],
                one.repeat,
                models.get(one.model, len(models)),
            )
        )
        self._by_sample: dict[tuple[str, str], list[int]] = {}
        for place, one in enumerate(self.entries):
            self._by_sample.setdefault((one.task, one.id), []).append(place)
        self._differing = self._disagreements()
        self._search_result: tuple[str, set[int]] = ("", set())

    def head(self) -> dict[str, Any]:
        """Return the names to filter by, and for each column its longest text, which sets its width."""
        tasks = list(self.order)
        models = list(dict.fromkeys(one.model for one in self.entries))
        some = self.entries[:: max(1, len(self.entries) // 2000)]
        return {
            "total": len(self.entries),
            "tasks": tasks,
            "models": models,
            "groups": {task: self._groups(task) for task in tasks},
            "differ": bool(self._differing),
            "widths": {
                "id": sorted({one.id for one in some}, key=len)[-1:],
                "task": tasks,
                "answer": sorted({one.answer or "" for one in some}, key=len)[-1:],
                "gold": sorted({one.gold or "" for one in some}, key=len)[-1:],
                "model": models,
            },
        }

    def page(self, chosen: Selection, offset: int, limit: int) -> dict[str, Any]:
        """Return rows of the chosen answers, how many there are, and how many of each outcome.

        The counts of outcomes ignore the chosen outcomes, so that each can be chosen in addition.
        """
        counts = [0] * len(OUTCOME_NAMES)
        rows = []
        number = 0
        for place in self._chosen(chosen):
            entry = self.entries[place]
            counts[entry.outcome] += 1
            if chosen.outcomes and entry.outcome not in chosen.outcomes:
                continue
            if offset <= number < offset + min(limit, MAX_ROWS):
                rows.append(_row(entry))
            number += 1
        return {"count": number, "offset": offset, "outcomes": counts, "rows": rows}

    def sample(self, task: str, sample_id: str) -> dict[str, Any] | None:
        """Return all answers to one sample, unshortened, in the form of the reader of the HTML page.

        None if there is no such sample.
        """
        from aisb_reporter_html import SampleAnswer, pack_sample

        together = [self.entries[place] for place in self._by_sample.get((task, sample_id), ())]
        if not together:
            return None
        answers = [
            SampleAnswer(one.model, [self._line(one, at) for at in one.places], _scores(one))
            for one in together
        ]
        choices: Sequence[str] = ()
        if any(line["logprobs"] for answer in answers for line in answer.lines):
            choices = self._choices(together[0])
        return pack_sample(answers, choices, neighbour=self._neighbour(together[0]))

    def close(self) -> None:
        """Remove the temporary file."""
        self._spool.close()

    def _read(self, model: str, task: str) -> None:
        source = self._run.source
        if source is None:
            return
        found: dict[tuple[str, int], Entry] = {}
        questions = Questions()
        ids = self.order.setdefault(task, {})
        offsets: dict[str, tuple[Path, list[int]]] = {}
        for row in source.rows("requests", model, task):
            key = (row["id"], row["repeat"])
            ids.setdefault(row["id"], len(ids))
            if key not in found:
                found[key] = _entry(row)
                questions.add(found[key], question_of(row["origin_prompt"]))
            usage = row["usage"] or {}
            found[key].tokens = usage.get("output_tokens")
            found[key].places.append(self._place(row, offsets))
        if not found:
            if not ids:
                del self.order[task]
            return
        for score in source.rows("scores", model, task):
            entry = found.get((score["id"], score["repeat"]))
            if entry is None:
                continue
            if not entry.scores:
                entry.outcome = OUTCOMES.index(score["outcome"])
                entry.answer = shorten(score["answer"])
            entry.scores.append(orjson.dumps(score, default=str))
        questions.finish()
        self.entries += found.values()

    def _place(self, row: Row, offsets: dict[str, tuple[Path, list[int]]]) -> Place:
        """Return the place of a row: in the file of predictions, or in a temporary one if it was in a log."""
        spans = tuple((int(start), int(end)) for start, end in row.get("reasoning_spans", ()))
        name, line = row["file"], row["line"]
        if line is None:
            data = orjson.dumps(row, default=str)
            start = self._spool.seek(0, os.SEEK_END)
            self._spool.write(data)
            return Place(None, start, len(data), None, name, spans)
        if name not in offsets:
            path = self._run.folder / name
            offsets[name] = (path, _line_offsets(path))
        path, starts = offsets[name]
        return Place(path, starts[line - 1], starts[line] - starts[line - 1], line, name, spans)

    def _line(self, entry: Entry, place: Place) -> Row:
        """Read one row again."""
        if place.file is None:
            self._spool.seek(place.start)
            data = self._spool.read(place.length)
        else:
            with place.file.open("rb") as file:
                file.seek(place.start)
                data = file.read(place.length)
        row: Row = orjson.loads(data)
        return {
            **row,
            "model": entry.model,
            "task": entry.task,
            "file": place.shown_file,
            "line": place.line,
            "reasoning_spans": place.spans,
        }

    def _disagreements(self) -> set[int]:
        """Return the answers to samples that some model answered correctly, and some did not."""
        if len({one.model for one in self.entries}) < 2:
            return set()
        correct = OUTCOMES.index("correct")
        return {
            place
            for places in self._by_sample.values()
            if len({self.entries[one].outcome == correct for one in places}) == 2
            for place in places
        }

    def _neighbour(self, entry: Entry) -> Row | None:
        """Return a row of the same model and task for another sample; None if there is none."""
        ids = self.order[entry.task]
        place = ids[entry.id]
        names = list(ids)
        for name in (*names[place + 1 : place + 2], *names[max(0, place - 1) : place]):
            for other in self._by_sample[entry.task, name]:
                if self.entries[other].model == entry.model:
                    return self._line(self.entries[other], self.entries[other].places[0])
        return None

    def _choices(self, entry: Entry) -> Sequence[str]:
        source = self._run.source
        rows = source.rows("samples", entry.model, entry.task) if source else ()
        return next((row["choices"] for row in rows if row["id"] == entry.id), ())

    def _groups(self, task: str) -> list[str]:
        return list(
            dict.fromkeys(one.group for one in self.entries if one.task == task and one.group is not None)
        )

    def _chosen(self, chosen: Selection) -> Iterator[int]:
        found = self._search(chosen.query) if chosen.query else None
        for place, one in enumerate(self.entries):
            if (
                (not chosen.task or one.task == chosen.task)
                and (not chosen.model or one.model == chosen.model)
                and (not chosen.group or one.group == chosen.group)
                and (not chosen.differ or place in self._differing)
                and (found is None or place in found)
            ):
                yield place

    def _search(self, query: str) -> set[int]:
        """Return the answers that contain a text, in any case: in id, prompt, output, answer or reference."""
        wanted = query.casefold()
        if self._search_result[0] != wanted:
            found = {
                place
                for place, entry in enumerate(self.entries)
                if any(wanted in text.casefold() for text in self._texts(entry))
            }
            self._search_result = (wanted, found)
        return self._search_result[1]

    def _texts(self, entry: Entry) -> Iterator[str]:
        from aisb_reporter_html import turns

        yield entry.id
        yield entry.answer or ""
        for place in entry.places:
            row = self._line(entry, place)
            yield from (text for _, text in turns(row["origin_prompt"]))
            yield row["prediction"] or ""
            yield row["reasoning"] or ""
            yield as_text(row["gold"]) or ""
            if row["failure"]:
                yield row["failure"]["message"]


def _pairs(run: FinishedRun) -> list[tuple[str, str]]:
    """Return the pairs of models and tasks of a run, task by task."""
    pairs = [(pair["model"], pair["task"]) for pair in run.configuration.get("subtasks", ())]
    pairs = list(dict.fromkeys([*pairs, *((one.model, one.task) for one in run.results)]))
    return [
        (model, task)
        for task in dict.fromkeys(task for _, task in pairs)
        for model, of in pairs
        if of == task
    ]


def _entry(row: Row) -> Entry:
    return Entry(
        row["task"], row["model"], row["id"], row["repeat"], row["group"], shorten(row["gold"]), "", None, []
    )


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "outcome": entry.outcome,
        "id": entry.id,
        "repeat": entry.repeat,
        "task": entry.task,
        "model": entry.model,
        "begins": entry.begins,
        "answer": entry.answer,
        "gold": entry.gold,
        "tokens": entry.tokens,
    }


def _scores(entry: Entry) -> list[Row]:
    return [orjson.loads(score) for score in entry.scores]


def _line_offsets(path: Path) -> list[int]:
    """Return where each line of a file begins, and the end of the file."""
    offsets = [0]
    with path.open("rb") as lines:
        for line in lines:
            offsets.append(offsets[-1] + len(line))
    return offsets


def read_selection(query: Mapping[str, str]) -> Selection:
    """Return the selection that a query string describes."""
    names = [name for name in query.get("outcome", "").split(",") if name]
    return Selection(
        query.get("task", ""),
        query.get("model", ""),
        query.get("group", ""),
        frozenset(OUTCOME_NAMES.index(name) for name in names if name in OUTCOME_NAMES),
        query.get("q", "").strip(),
        query.get("differ", "") == "1",
    )
