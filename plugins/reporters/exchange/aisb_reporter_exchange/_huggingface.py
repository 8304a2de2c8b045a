"""Evaluation results for a model page of the Hugging Face hub: files for its folder `.eval_results`.

https://huggingface.co/docs/hub/eval-results
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from aisb import FinishedRun, Reporter, UsageError
from aisb.helpers import write_file
from aisb_reporter_exchange._lm_eval import sanitized
from aisb_reporter_exchange._subtasks import ScoredSubtask, say, scored_subtasks


@dataclass(kw_only=True)
class HuggingFace(Reporter):
    """The headline of each task as evaluation results for a model page of the Hugging Face hub."""

    datasets: Annotated[
        dict[str, str] | None, "dataset on the hub of each task, as {gsm8k = 'openai/gsm8k'}"
    ] = None
    tasks: Annotated[
        dict[str, str] | None, "id of each task in the dataset's eval.yaml [default: the name of the task]"
    ] = None
    source_url: Annotated[str | None, "address with the evidence, such as a packed run"] = None
    source_name: Annotated[str | None, "name of that source"] = None
    source_user: Annotated[str | None, "user or organization on the hub who ran the evaluation"] = None
    notes: Annotated[str | None, "text instead of the setting and the interval"] = None

    def report(self, run: FinishedRun) -> Iterable[Path]:
        """Write `exchange/huggingface/<model>/.eval_results/<task>.yaml` for each task with a dataset there.

        A line names each task that has none.

        Raises:
            UsageError: the source has a name or a user, but no address.
        """
        if (self.source_name or self.source_user) and not self.source_url:
            raise UsageError("source_name and source_user describe a source: set source_url, too")
        subtasks = scored_subtasks(run, "evaluation results of the Hugging Face hub")
        found = [(one, dataset) for one in subtasks if (dataset := self._dataset(one))]
        for task in dict.fromkeys(one.result.task for one in subtasks if not self._dataset(one)):
            say(
                f"{task} is left out, since its dataset on the Hugging Face hub is not known; "
                f"name it with: --set 'huggingface.datasets={{{task} = \"OWNER/NAME\"}}'"
            )
        return [self._write(run, one, dataset) for one, dataset in found]

    def _dataset(self, subtask: ScoredSubtask) -> str | None:
        return (self.datasets or {}).get(subtask.result.task) or subtask.hub_dataset

    def _write(self, run: FinishedRun, subtask: ScoredSubtask, dataset: str) -> Path:
        import yaml

        folder = run.folder / "exchange" / "huggingface" / sanitized(subtask.result.model)
        file = folder / ".eval_results" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', subtask.result.task)}.yaml"
        text = yaml.safe_dump([self._entry(subtask, dataset)], sort_keys=False, allow_unicode=True, width=100)
        write_file(file, text.encode())
        return file

    def _entry(self, subtask: ScoredSubtask, dataset: str) -> dict[str, Any]:
        headline, task = subtask.headline, subtask.result.task
        revision = subtask.task.get("pull", {}).get("revision")
        source = {"url": self.source_url, "name": self.source_name, "user": self.source_user}
        return {
            "dataset": {
                "id": dataset,
                "task_id": (self.tasks or {}).get(task, task),
                **({"revision": str(revision)} if revision else {}),
            },
            "value": round(headline.value or 0.0, 4),
            **({} if subtask.is_imported else {"date": subtask.started.strftime("%Y-%m-%dT%H:%M:%SZ")}),
            **({"source": _known(source)} if self.source_url else {}),
            "notes": self.notes or _notes(subtask),
        }


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _notes(subtask: ScoredSubtask) -> str:
    """Return the setting of a result in one line: shots, what is counted, the interval, the version."""
    result, metric = subtask.result, subtask.headline
    parts = [f"{subtask.shots}-shot", f"{metric.name} in {metric.unit}" if metric.unit else metric.name]
    parts.append(f"n = {metric.count}")
    if metric.low is not None and metric.high is not None:
        parts.append(f"95 % interval {metric.low:.2f} to {metric.high:.2f}")
    if subtask.repeats > 1:
        parts.append(f"{subtask.repeats} answers to each sample")
    if subtask.result.mode == "logprob":
        parts.append("likelihoods of the options compared")
    parts += subtask.limits
    version = subtask.run.manifest.get("aisb")
    named = result.task + (f":{result.variant}" if result.variant else "")
    parts.append(f"task {named} {result.version}" + (f" of aisb {version}" if version else ""))
    return ", ".join(parts)
