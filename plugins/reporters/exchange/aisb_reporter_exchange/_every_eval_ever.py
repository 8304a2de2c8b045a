"""Every Eval Ever, schema 0.3.0: a JSON file for each model and task, and a line for each answer next to it.

https://github.com/evaleval/every_eval_ever
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson

from aisb import FinishedRun, Metric, Reporter, UsageError
from aisb.helpers import as_text, write_file
from aisb_reporter_exchange._metrics import proportion, shared_metric
from aisb_reporter_exchange._subtasks import ScoredSubtask, scored_subtasks

SCHEMA_VERSION = "0.3.0"
UNSPECIFIED = "unspecified"
UNSAFE = re.compile(r'[<>"\\|?*\x00-\x1f]')
RESERVED = {"data", "unknown"}
NUMBERS = ("temperature", "top_p", "top_k")
ENGINE = re.compile(r"(?P<name>[A-Za-z][\w.+-]*(?: [A-Za-z][\w.+-]*)*)[ /]v?(?P<version>\d[\w.+-]*)")


@dataclass(kw_only=True)
class EveryEvalEver(Reporter):
    """The scores and answers of a run as records of Every Eval Ever, to share and to compare."""

    organization: Annotated[str, "organization that ran the evaluation"] = UNSPECIFIED
    relationship: Annotated[
        Literal["first_party", "third_party", "collaborative", "other"],
        "relation of that organization to the model",
    ] = "other"
    model_id: Annotated[
        str | None, "id of the model on a hub [default: the name under which it is served]"
    ] = None
    developer: Annotated[str, "developer of a model whose id does not begin with one"] = UNSPECIFIED
    deployment: Annotated[
        Literal["self_deployed", "externally_managed", "unknown"], "who controls the deployment"
    ] = "unknown"
    weights: Annotated[
        Literal["open_weights", "closed_weights", "unknown"], "availability of the weights"
    ] = "unknown"
    samples: Annotated[bool, "also write each answer"] = True

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `exchange/every-eval-ever/data/<task>/<developer>/<model>/<uuid>.json`, and its samples."""
        subtasks = scored_subtasks(run, "Every Eval Ever")
        models = list(dict.fromkeys(one.result.model for one in subtasks))
        if self.model_id and len(models) > 1:
            raise UsageError(
                f"model_id = {self.model_id!r} names one model, but the run has {len(models)}: "
                f"{', '.join(models)}\n  leave it out, so that each has the name under which it is served"
            )
        root = run.folder / "exchange" / "every-eval-ever"
        return [path for one in subtasks for path in self._write(one, root)]

    def _write(self, subtask: ScoredSubtask, root: Path) -> list[Path]:
        from aisb_reporter_exchange._every_eval_ever_samples import sample_lines

        model_id, developer = model_identity(self.model_id or subtask.served, self.developer)
        own = model_id.removeprefix(f"{developer}/") if "/" in model_id else model_id
        parts = [_component(one) for one in (subtask.result.task, developer, own.replace("/", "_"))]
        name = record_uuid(subtask)
        record = self._record(subtask, model_id, developer)
        place = Path("data", *parts, f"{name}_samples.jsonl")
        written = [root.joinpath("data", *parts, f"{name}.json")]
        if self.samples:
            lines = b"".join(sample_lines(subtask, record))
            if lines:
                record["detailed_evaluation_results"] = {
                    "format": "jsonl",
                    "file_path": place.as_posix(),
                    "hash_algorithm": "sha256",
                    "checksum": hashlib.sha256(lines).hexdigest(),
                    "total_rows": lines.count(b"\n"),
                }
                written.append(root / place)
                write_file(root / place, lines)
        if len(written) == 1:  # one of an earlier report would not belong to this file
            (root / place).unlink(missing_ok=True)
        write_file(written[0], orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return written

    def _record(self, subtask: ScoredSubtask, model_id: str, developer: str) -> dict[str, Any]:
        created = str(int(subtask.scored.timestamp()))
        manifest = subtask.run.manifest
        return {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": "/".join((subtask.result.task, model_id, created, *_distinction(subtask))),
            **_time(subtask),
            "retrieved_timestamp": created,
            "source_metadata": {
                "source_name": "aisb",
                "source_type": "evaluation_run",
                "source_organization_name": self.organization,
                "evaluator_relationship": self.relationship,
                "additional_details": texts(
                    {"run": subtask.run.timestamp, "imported_from": _tools(manifest)}
                ),
            },
            "eval_library": {
                "name": "aisb",
                "version": str(manifest.get("aisb") or "unknown"),
                "additional_details": texts(
                    {f"graded_by.{name}": v for name, v in (subtask.stored.get("graded_by") or {}).items()}
                    | {"python": manifest.get("python"), "platform": manifest.get("platform")}
                ),
            },
            "model_info": self._model(subtask, model_id, developer),
            "evaluation_results": [_result(subtask, *row) for row in subtask.metrics],
        }

    def _model(self, subtask: ScoredSubtask, model_id: str, developer: str) -> dict[str, Any]:
        detail = str(subtask.known_model.get("detail") or "")
        engine = ENGINE.fullmatch(detail)
        return {
            "name": subtask.served,
            "id": model_id,
            "developer": developer,
            **({"inference_engine": engine.groupdict()} if engine else {}),
            "additional_details": {
                "deployment_type": self.deployment,
                "model_availability": self.weights,
                **texts(
                    {
                        "name_in_run": subtask.result.model,
                        "backend": subtask.model.get("backend"),
                        "server": detail or None,
                    }
                ),
            },
        }


def model_identity(served: str, developer: str) -> tuple[str, str]:
    """Return the id of a model, and its developer: the part of the id before the first slash, if it has one.

    Of the path of a local folder only the last part is kept.
    """
    parts = [part for part in served.strip().split("/") if part not in ("", ".", "..")]
    if served.strip().startswith(("/", ".", "~")):
        parts = parts[-1:]
    parts = [UNSAFE.sub("_", part).strip(" ").rstrip(". ") for part in parts]
    parts = [f"{part}-model" if part.lower() in RESERVED else part for part in parts if part]
    if len(parts) > 1:
        return "/".join(parts), parts[0]
    return parts[0] if parts else "model", developer


def record_uuid(subtask: ScoredSubtask) -> str:
    """Return a UUID of version 4 that is the same whenever this result is written."""
    result = subtask.result
    key = f"{subtask.run.timestamp}\0{result.model}\0{result.task}\0{subtask.scored.isoformat()}"
    return str(uuid.UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4))


def result_id(name: str, metric: Metric) -> str:
    """Return the id of one metric of a row."""
    return f"{name}/{metric.name}"


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the known values as texts, as the schema wants additional details."""
    return {key: as_text(value) for key, value in values.items() if value is not None}


def _distinction(subtask: ScoredSubtask) -> tuple[str, ...]:
    """Return the name of the model in the run, if another model of the run is served under the same name."""
    own = subtask.result
    others = [one for one in subtask.run.results if one.model != own.model and one.task == own.task]
    same = any(ScoredSubtask(subtask.run, one).served == subtask.served for one in others)
    return (own.model,) if same else ()


def _tools(manifest: Mapping[str, Any]) -> str | None:
    """Return the tools whose answers the run imported, without the places of their files."""
    sources = str(manifest.get("imported") or "").split("; ")
    return ", ".join(dict.fromkeys(source.partition(",")[0] for source in sources)) or None


def _component(name: str) -> str:
    """Return a name as one component of a path."""
    return UNSAFE.sub("_", name.replace(":", "_").replace("/", "_")).rstrip(". ") or "model"


def _result(subtask: ScoredSubtask, name: str, metric: Metric) -> dict[str, Any]:
    return {
        "evaluation_result_id": result_id(name, metric),
        "evaluation_name": name,
        "source_data": _source(subtask),
        **_time(subtask),
        "metric_config": _metric(subtask, metric),
        "score_details": _score(subtask, metric),
        "generation_config": _generation(subtask),
    }


def _time(subtask: ScoredSubtask) -> dict[str, str]:
    """Return when the run started, if that is known."""
    return {} if subtask.is_imported else {"evaluation_timestamp": subtask.started.isoformat()}


def _source(subtask: ScoredSubtask) -> dict[str, Any]:
    dataset = subtask.task.get("dataset", {})
    data = subtask.known_task.get("data", {})
    details = texts(
        {
            "source": subtask.task.get("source"),
            "licence": subtask.task.get("licence"),
            "data_sha256": data.get("sha256"),
            "files": ", ".join(Path(file).name for file in data.get("files") or ()) or None,
            "revision": subtask.task.get("pull", {}).get("revision"),
        }
    )
    common = {"dataset_name": subtask.result.task, "additional_details": details}
    if subtask.hub_dataset:
        split = {"hf_split": str(dataset["split"])} if dataset.get("split") else {}
        number = {"samples_number": len(subtask.samples)} if subtask.samples else {}
        return {**common, "source_type": "hf_dataset", "hf_repo": subtask.hub_dataset, **split, **number}
    if subtask.urls:
        return {**common, "source_type": "url", "url": subtask.urls}
    return {**common, "source_type": "other"}


def _metric(subtask: ScoredSubtask, metric: Metric) -> dict[str, Any]:
    shared, is_share = shared_metric(metric), metric.unit == "%"
    described = subtask.task.get("summary")
    return {
        **({"evaluation_description": str(described)} if described else {}),
        "metric_id": shared.id,
        "metric_name": metric.name,
        "metric_kind": shared.kind,
        "metric_unit": "proportion" if is_share else metric.unit or "points",
        **({"metric_parameters": shared.parameters} if shared.parameters else {}),
        "lower_is_better": metric.better == "lower",
        "score_type": "continuous",
        "min_score": 0.0 if is_share else "-Infinity",
        "max_score": 1.0 if is_share else "Infinity",
        **_judging(subtask),
        "additional_details": texts(
            {
                "group": metric.group,
                "task_version": subtask.result.version,
                "variant": subtask.result.variant,
                "mode": subtask.result.mode,
                "shots": subtask.shots,
                "covers_groups": None if metric.groups is None else "{} of {}".format(*metric.groups),
                "limits": "; ".join(subtask.limits) or None,
            }
        ),
    }


def _score(subtask: ScoredSubtask, metric: Metric) -> dict[str, Any]:
    shared, result = shared_metric(metric), subtask.result
    uncertainty: dict[str, Any] = {"num_samples": metric.count}
    if metric.low is not None and metric.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": proportion(metric, metric.low),
            "upper": proportion(metric, metric.high),
            "confidence_level": 0.95,
            **({"method": shared.interval} if shared.interval else {}),
        }
    details: dict[str, Any] = {}
    if metric.group is None:
        details = {f"outcome.{name}": count for name, count in result.outcomes.items()}
        if result.bounds and metric == subtask.headline:
            details["if_unclear_are_wrong"], details["if_unclear_are_left_out"] = (
                share / 100 for share in result.bounds
            )
        details |= {"failed_requests": result.failed, "not_sent": result.not_sent}
    return {
        "score": proportion(metric, metric.value or 0.0),
        "details": texts(details),
        "uncertainty": uncertainty,
    }


def _generation(subtask: ScoredSubtask) -> dict[str, Any]:
    params = subtask.params
    prompt = subtask.task.get("prompt", {})
    known: dict[str, Any] = {key: params[key] for key in NUMBERS if isinstance(params.get(key), int | float)}
    if isinstance(params.get("max_tokens"), int) and params["max_tokens"] >= 1:
        known["max_tokens"] = params["max_tokens"]
    if command := subtask.command:
        known["execution_command"] = command
    if prompt.get("user"):
        known["prompt_template"] = str(prompt["user"])
    others = {f"params.{key}": value for key, value in params.items() if key not in known}
    return {
        "generation_args": known,
        "additional_details": texts({"system": prompt.get("system"), "style": prompt.get("style"), **others}),
    }


def _judging(subtask: ScoredSubtask) -> dict[str, Any]:
    """Return the judge of a judged task."""
    asked = subtask.stored.get("judge")
    if not asked:
        return {}
    judge = subtask.run.configuration.get("judge", {})
    name = str(judge.get("options", {}).get("model") or asked.get("model") or judge.get("name") or "judge")
    model_id, developer = model_identity(name, UNSPECIFIED)
    uses = [use for use in subtask.task.get("evaluate", ()) if use.get("prompt")]
    temperature = judge.get("params", {}).get("temperature", 0)
    return {
        "llm_scoring": {
            "judges": [
                {
                    "model_info": {
                        "name": name,
                        "id": model_id,
                        "developer": developer,
                        "additional_details": {
                            "deployment_type": "unknown",
                            "model_availability": "unknown",
                            **texts({"backend": judge.get("backend")}),
                        },
                    },
                    **({"temperature": temperature} if isinstance(temperature, int | float) else {}),
                }
            ],
            "input_prompt": str(uses[0]["prompt"]) if uses else "the prompt of the evaluator",
            "additional_details": texts({key: asked.get(key) for key in ("questions", "failed")}),
        }
    }
