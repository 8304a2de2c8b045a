"""Grade a patch with SWE-bench's own harness: `python -m swebench.harness.run_evaluation`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from aisb import Evaluator as Base
from aisb import ImportedAnswer, Sample, Score, UsageError
from aisb_dataset_tools._agent_results import SweBench
from aisb_dataset_tools._trials import AgentTrial
from aisb_processes import check_code_allowed, run_program

MODEL = "aisb"


class SweBenchHarness(Base):
    """Whether the tests of an instance pass with the model's patch; its report is read as `aisb import` does.

    A harness that fails, or that could not run the tests, gives the outcome `error`.
    """

    grades_none = True

    def __init__(
        self,
        *,
        dataset: Annotated[str, "name of the data set, or a file with its rows"],
        split: Annotated[str, "its split"] = "test",
        python: Annotated[str, "Python interpreter with the package swebench; default: aisb's own"] = "",
        seconds: Annotated[int, "timeout of the tests of one instance, in seconds"] = 1800,
        at_once: Annotated[int, "number of harnesses that run at once"] = 2,
    ) -> None:
        check_code_allowed("the harness runs the repository's tests with the model's patch")
        if at_once < 1 or seconds < 1:
            raise UsageError("at_once and seconds must be at least 1")
        self.dataset, self.split, self.seconds = dataset, split, seconds
        self.python = python or sys.executable
        self._places = asyncio.Semaphore(at_once)

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Let the harness run one instance, and read its report."""
        del answer
        patch = sample.fields["episode"]["state"]["patch"]
        if patch is None or not patch.strip():
            return Score(0.0, "unparsed", details={"reason": "no patch was submitted"})
        async with self._places:
            with tempfile.TemporaryDirectory(prefix="aisb-swe-") as folder:
                found = await self._report(str(sample.fields["instance_id"]), patch, Path(folder))
        if isinstance(found, str):
            return Score(0.0, "error", details={"failure": found})
        if found.failure is not None:
            return Score(0.0, "error", details={"failure": found.failure.message})
        return AgentTrial().score(found.text, sample)

    async def _report(self, name: str, patch: str, folder: Path) -> ImportedAnswer | str:
        """Return the answer in the report of the harness, or why there is none."""
        predictions = folder / "predictions.json"
        row = {"instance_id": name, "model_name_or_path": MODEL, "model_patch": patch}
        predictions.write_text(json.dumps([row]), "utf-8")
        run = f"aisb-{os.getpid()}-{folder.name}"
        words = (
            "-m", "swebench.harness.run_evaluation", "--dataset_name", self.dataset, "--split", self.split,
            "--predictions_path", str(predictions), "--instance_ids", name, "--run_id", run,
            "--max_workers", "1", "--timeout", str(self.seconds), "--report_dir", str(folder),
        )  # fmt: skip
        limit = self.seconds + 1800  # the images are built or fetched in this time
        code, output = await run_program([self.python, *words], limit, folder=folder)
        if code is None:
            return f"the harness took longer than {limit} s"
        report = folder / f"{MODEL}.{run}.json"
        last = output.strip().rpartition("\n")[2][-300:]
        if not report.exists():
            return f"the harness ended with exit code {code} and wrote no report: {last}"
        for task in SweBench().read(report) or ():
            for one in task.rows:
                if one.fields["task"] == name:
                    return one.answers[0]
        return f"the report of the harness has no {name}"
