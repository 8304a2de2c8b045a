"""Record what is about to be sent: its identity, its samples, and how it differs from the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from aisb._errors import RunError
from aisb._mixins import LoraAdapters
from aisb._types import Sample
from aisb_engine._data.media import media_hash
from aisb_engine._data.samples import BrokenRow, sample_table
from aisb_engine._load.prepared import PreparedSubtask
from aisb_engine._load.selecting import answerable, in_data_order
from aisb_engine._load.stage import InferenceStage
from aisb_engine._record.manifest import identity, identity_differences, task_version
from aisb_engine._record.predictions import RenderedSample, prompt_of, write_samples
from aisb_engine._record.runfolder import read_json, write_atomically
from aisb_engine._resolve.params import sends


def record_inputs(stage: InferenceStage) -> None:
    """Check that an existing log belongs to the same requests, then write what scoring needs.

    Raises:
        RunError: the run's log belongs to other requests.
    """
    for line in stage.spec.doubts:
        stage.display.say(line)
    identities = [_checked_identity(stage, one) for one in stage.subtasks]
    for one, present in zip(stage.subtasks, identities, strict=True):
        path = _identity_file(stage, one)
        if not path.exists():
            write_atomically(path, orjson.dumps(present, option=orjson.OPT_INDENT_2))
        if one.task.evaluate or not stage.performance:  # prompts that are never scored may be many and long
            _record_samples(stage, one)
        stage.manifest.note_not_sent(one.subtask.key, one.row_count * one.subtask.repeats)
        _note_task(stage, one)
        _note_conversion(stage, one)
        _note_params(stage, one)
    stage.manifest.save()


def _identity_file(stage: InferenceStage, one: PreparedSubtask) -> Path:
    return stage.folder.log(one.subtask.model, one.subtask.task) / "identity.json"


def _checked_identity(stage: InferenceStage, one: PreparedSubtask) -> dict[str, Any]:
    """Return everything that determines the requests of a subtask; refuse a log of other requests."""
    present = identity(
        one.subtask,
        one.task,
        served=getattr(one.backend, "model", None),
        system=one.model.system,
        backend=one.model.backend,
        data=one.loaded.sha256,
        shots=one.renderer.shots.pool.sha256 if one.renderer.shots else None,
        media=_media_hash(one),
        adapters=one.backend.adapters_hash() if isinstance(one.backend, LoraAdapters) else None,
        other=stage.spec.judge if one.ask else None,
    )
    path = _identity_file(stage, one)
    if path.exists() and (lines := identity_differences(read_json(path), present)):
        raise RunError(
            f"the requests of {one.name} differ from those in {stage.folder}:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\n  start a new run without --reuse, or give the same values"
        )
    return present


def _media_hash(one: PreparedSubtask) -> str | None:
    """Return the hash of the media of all rows, including rows that are broken this time."""
    if not one.renderer.media:
        return None
    samples = (row.sample if isinstance(row, BrokenRow) else row for row in one.loaded.rows)
    return media_hash(one.renderer.media, samples)


def _record_samples(stage: InferenceStage, one: PreparedSubtask) -> None:
    """Write the samples of a subtask with their prompts, so that it can be scored without the data.

    These are the rows of an accuracy run; a performance run also sends rows without a target.
    """
    scored = {row.id for row in answerable(one.task, one.loaded.rows)}
    rendered = [_rendered(one, row) for row in in_data_order(one.loaded, one.rows) if row.id in scored]
    write_samples(
        stage.folder,
        one.subtask.model,
        one.subtask.task,
        rendered,
        sample_table=sample_table(one.task),
        groups=one.loaded.groups,
    )


def _rendered(one: PreparedSubtask, row: Sample | BrokenRow) -> RenderedSample:
    """Return a row for the record: with its prompt, or with the reason why there is none."""
    sample = row.sample if isinstance(row, BrokenRow) else row
    request = one.render(sample)
    if request is None:
        return RenderedSample(sample, "", str(one.broken[sample.id]))
    return RenderedSample(sample, prompt_of(request))


def _note_task(stage: InferenceStage, one: PreparedSubtask) -> None:
    """Record in the manifest the version of a task and of its data."""
    name = one.subtask.task
    stage.manifest.data.get("tasks", {}).get(name, {}).pop("skip_reason", None)
    facts: dict[str, Any] = {
        "version": task_version(one.task),
        "data": {"sha256": one.loaded.sha256, "files": [str(file) for file in one.loaded.files]},
        "prompt_style": one.task.prompt.style,
    }
    stage.manifest.note("tasks", name, facts)


def _note_conversion(stage: InferenceStage, one: PreparedSubtask) -> None:
    """Report it if prompts are not sent in the task's own form."""
    style, form = one.task.prompt.style, one.backend.prompt_form
    if style == form:
        return
    forms = {"chat": "one user message", "text": "the turns' contents joined by newlines"}
    if one.backend.has_chat_template:
        forms["text"] = "one text, rendered with the tokenizer's chat template"
    stage.display.say(f"{one.name}: a {style} task, a {form} endpoint: sent as {forms[form]}")
    stage.manifest.note("crossed", one.subtask.key, {"to": form})


def _note_params(stage: InferenceStage, one: PreparedSubtask) -> None:
    """Report parameters that are not sent, and repeats that will hardly differ."""
    backend, subtask = one.model.backend, one.subtask
    if left_out := stage.spec.not_sent.get(subtask.key):
        stage.display.say(
            f"{one.name}: not sent, as the backend {backend} does not send it: {', '.join(left_out)}"
        )
        stage.manifest.note("not_sent", subtask.key, {"params": left_out})
    if subtask.repeats > 1 and not sends(one.backend, "seed"):
        stage.display.say(
            f"{one.name}: the backend {backend} does not send seed: "
            "repeats differ only if the service uses a random seed"
        )
    if subtask.repeats > 1 and subtask.merged.get("temperature", 1) == 0:
        stage.display.say(
            f"{one.name}: {subtask.repeats} repeats at temperature 0 will hardly differ; "
            "set params.temperature"
        )
