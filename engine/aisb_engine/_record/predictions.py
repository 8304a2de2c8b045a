"""Write the predictions of a subtask, from its log, as files for people and other tools."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from aisb._errors import RunError
from aisb._types import Failure, Message, Prediction, Request, Sample
from aisb_engine._record.episodes import EndedEpisode, EpisodeKey, read_episodes
from aisb_engine._record.latency import latency
from aisb_engine._record.log import Log, read_folder
from aisb_engine._record.runfolder import RunFolder, json_line, write_atomically
from aisb_engine._record.stored import Predictions, StoredRecord, summary_of

SAMPLES = "samples.jsonl.gz"


class RenderedSample(NamedTuple):
    """A sample and its rendered prompt, in the form of the log.

    `broken` is the reason if nothing could be sent, since the row or its prompt could not be prepared.
    """

    sample: Sample
    prompt: str | list[dict[str, Any]]
    broken: str | None = None


class LoggedSamples(NamedTuple):
    """All samples of a task that were sent to a model, and the `[sample]` table that mapped their rows.

    `groups` are all groups in the task's data, each with its areas, also those that were not sent. It is
    empty for tasks without groups, and in logs of old versions.
    """

    sample_table: dict[str, Any]
    samples: list[RenderedSample]
    groups: Mapping[str, Sequence[str]] = MappingProxyType({})


def prompt_of(request: Request) -> str | list[dict[str, Any]]:
    """Return the content of a request as plain data: a string, or a list of turns."""
    if request.tokens is not None and request.messages is None and request.text is None:
        return str(list(request.tokens))
    if request.messages is None:
        return request.text if request.text is not None else ""
    return [message_table(message) for message in request.messages]


def write_samples(
    folder: RunFolder,
    model: str,
    task: str,
    rendered: Iterable[RenderedSample],
    *,
    sample_table: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Save the samples of a subtask next to its log, so that it can be scored without the data."""
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as file:
        head = {"made_by": sample_table, **({"groups": groups} if groups else {})}
        file.write(orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE))
        for sample, prompt, broken in rendered:
            line = {
                "id": sample.id,
                "group": sample.group,
                "cluster": sample.cluster,
                "target": sample.target,
                "choices": sample.choices,
                # A generated prompt can be long, and is not stored twice.
                "fields": {k: value for k, value in sample.fields.items() if not hasattr(value, "pool")},
                "prompt": prompt,
                **({"broken": broken} if broken else {}),
            }
            file.write(json_line(line))
    write_atomically(folder.log(model, task) / SAMPLES, buffer.getvalue())


def read_samples(folder: RunFolder, model: str, task: str) -> LoggedSamples:
    """Read the samples of a subtask.

    Raises:
        RunError: the subtask was never started, or the file is damaged.
    """
    path = folder.log(model, task) / SAMPLES
    try:
        with gzip.open(path) as file:
            head, *rows = [orjson.loads(line) for line in file]
    except FileNotFoundError:
        if any(path.parent.glob("worker-*")):
            raise RunError(
                f"{folder} has no samples of {task} · {model}, like performance runs of earlier versions and "
                "of tasks without an evaluator: its answers cannot be scored"
            ) from None
        raise RunError(
            f"{task} was never run with {model} in {folder}; run it first (--mode all or infer)"
        ) from None
    except (OSError, EOFError, ValueError) as error:
        again = folder.command("aisb run --reuse")
        raise RunError(f"{path} is damaged: {error}; run the subtask again with: {again}") from error
    asked = [
        RenderedSample(
            Sample(r["id"], r["fields"], r["target"], tuple(r["choices"]), r["group"], r.get("cluster")),
            r["prompt"],
            r.get("broken"),
        )
        for r in rows
    ]
    return LoggedSamples(head["made_by"], asked, head.get("groups", {}))


class LoggedAnswers(NamedTuple):
    """The content of a subtask's log: the samples, and the predictions in sample order.

    There is a prediction for each sample, repeat and turn that was sent; the last attempt wins. A sample that
    could not be prepared has a failure of the kind `row`. `episodes` are the finished ones of a task with an
    environment, and `questions` the answers to what it asked another model.
    """

    task: LoggedSamples
    predictions: Predictions
    episodes: Mapping[EpisodeKey, EndedEpisode] = MappingProxyType({})
    questions: Sequence[Prediction] = ()

    def without_times(self) -> LoggedAnswers:
        """Return a copy without time stamps, which take most of the memory of a streamed answer."""
        return self._replace(predictions=self.predictions.without_times())


def read_logged_answers(folder: RunFolder, model: str, task: str, repeats: int) -> LoggedAnswers:
    """Read the log of a subtask.

    Raises:
        RunError: the subtask was never started, or its samples are damaged.
    """
    logged = read_samples(folder, model, task)
    log = read_folder(folder.log(model, task))
    episodes = read_episodes(folder.log(model, task))
    predictions = Predictions([*in_order(logged.samples, log, repeats, episodes)])
    asked = [*map(summary_of, read_folder(folder.questions(model, task)).latest.entries.values())]
    return LoggedAnswers(logged, predictions, episodes, asked)


def write_predictions(
    folder: RunFolder,
    model: str,
    task: str,
    answers: LoggedAnswers,
    *,
    repeats: int,
    also_json: bool = True,
) -> None:
    """Write the prediction files of a subtask."""
    predictions = answers.predictions
    by_id = {one.sample.id: one for one in answers.task.samples}
    lines = (
        orjson.dumps(to_line(by_id[p.sample_id], p), option=orjson.OPT_APPEND_NEWLINE, default=str)
        for p in predictions
    )
    write_atomically(folder.predictions(model, task), lines)  # line by line, since answers can be large
    if also_json:
        write_atomically(folder.predictions_json(model, task), _by_id(by_id, predictions, repeats))


def in_order(
    rendered: Sequence[RenderedSample],
    log: Log,
    repeats: int,
    episodes: Mapping[EpisodeKey, EndedEpisode] = MappingProxyType({}),
) -> Iterator[StoredRecord]:
    """Yield the predictions by sample, repeat and turn; a failure for a sample that could not be sent.

    An episode whose environment failed before the first request could not be sent either.
    """
    turns = max((key[2] for key in log.latest), default=0) + 1
    for one in rendered:
        for repeat in range(repeats):
            if one.broken:
                yield Prediction(one.sample.id, repeat, attempts=0, failure=Failure("row", one.broken))
                continue
            episode = episodes.get((one.sample.id, repeat))
            first = log.latest.entries.get((one.sample.id, repeat, 0))
            if first is None and episode is not None and episode.failure is not None:
                failure = Failure("row", f"environment: {episode.failure}")
                yield Prediction(one.sample.id, repeat, attempts=0, failure=failure)
                continue
            for turn in range(turns):
                found = log.latest.entries.get((one.sample.id, repeat, turn))
                if found is not None:
                    yield found


def to_line(rendered: RenderedSample, prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as a line of the predictions file."""
    timing = prediction.timing
    times = latency(timing)
    return {
        "id": prediction.sample_id,
        "repeat": prediction.repeat,
        "turn": prediction.turn,
        "group": rendered.sample.group,
        "origin_prompt": rendered.prompt,
        "prediction": prediction.text,
        "reasoning": prediction.reasoning or None,
        "tool_calls": prediction.tool_calls or None,
        "gold": rendered.sample.target,
        "finish_reason": prediction.finish_reason,
        "usage": prediction.usage,
        "failure": prediction.failure,
        "attempts": prediction.attempts,
        "logprobs": [one._asdict() for one in prediction.logprobs] or None,
        "sent_ms": None if timing.sent_ns is None else timing.sent_ns / 1e6,
        "ttft_ms": times.ttft,
        "e2el_ms": times.e2el,
    }


def _by_id(
    by_id: Mapping[str, RenderedSample], predictions: Iterable[Prediction], repeats: int
) -> Iterator[bytes]:
    """Yield the predictions as one JSON object by id, one entry per line; with repeats a list per id.

    A failed request has no entry, so that a partial reply is not taken for an answer.
    """
    before = b"{\n"
    answered = (prediction for prediction in predictions if prediction.failure is None)
    for key, together in groupby(answered, lambda prediction: prediction.sample_id):
        entries = (orjson.dumps(_entry(by_id[key], prediction), default=str) for prediction in together)
        yield before + orjson.dumps(key) + b": "
        if repeats > 1:
            yield from _as_list(entries)
        else:
            yield next(entries)
        before = b",\n"
    yield b"\n}\n" if before == b",\n" else b"{\n\n}\n"


def _as_list(entries: Iterable[bytes]) -> Iterator[bytes]:
    before = b"["
    for entry in entries:
        yield before
        yield entry
        before = b","
    yield b"]"


def _entry(rendered: RenderedSample, prediction: Prediction) -> dict[str, Any]:
    entry = {"origin_prompt": rendered.prompt, "prediction": prediction.text, "gold": rendered.sample.target}
    return entry | ({"tool_calls": prediction.tool_calls} if prediction.tool_calls else {})


def message_table(message: Message) -> dict[str, Any]:
    """Return a message as plain data."""
    content: Any = message.content
    if not isinstance(content, str):
        content = [{"type": p.kind, p.kind: p.value} for p in content]
    table: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        table["tool_calls"] = [dict(call) for call in message.tool_calls]
    return table | ({"tool_call_id": message.tool_call_id} if message.tool_call_id else {})
