"""A plugin that raises: what it was called for ends, and nothing else does; no traceback reaches the terminal."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from forked import Forked, run_forked
from unpacked import install

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "aisb-faulty"
version = "1.0"
requires-python = ">=3.11"

[project.entry-points.aisb]
faulty = "aisb_faulty"
"""

PLUGIN = '''\
import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from aisb import Backend, Chunk, Evaluator, Metric, PluginError, Score, ServiceInfo, hookimpl

BROKEN = not os.environ.get("MENDED")


class Unprintable(Exception):
    """An exception that raises when it is printed."""

    def __str__(self):
        raise RuntimeError("no words")


def fail(how):
    raise {"exit": SystemExit(0), "cancel": asyncio.CancelledError(), "unprintable": Unprintable()}[how]


class Lazy(Mapping):
    """A field that is read when it is wanted."""

    def __init__(self, text):
        self.text = text

    def __getitem__(self, key):
        if BROKEN and self.text == "gone":
            raise OSError("the file behind this field is gone")
        return self.text

    def __iter__(self):
        return iter(("text",))

    def __len__(self):
        return 1

    def __str__(self):
        return f"a field that is read when it is wanted: {self.text}"


def rows(
    breaks: Annotated[int, "the row at which the dataset raises"] = -1,
    gone: Annotated[int, "the row whose question cannot be read"] = -1,
    half: Annotated[int, "the row with half of a surrogate pair"] = -1,
    how: Annotated[str, "how it raises"] = "",
):
    for number in range(6):
        if number == breaks and how == "list":
            yield ["no", "mapping"]
        if BROKEN and number == breaks and how:
            fail(how)
        if BROKEN and number == breaks:
            raise ValueError(f"row {number} of this dataset is rotten")
        question = Lazy("gone" if number == gone else f"question {number}")
        if number == half:
            question = Lazy(f"question {number} \\ud800")
        yield {"question": question, "number": str(number), "kind": "odd" if number % 2 else "even", "table": {1: "one"}}


def no_three():
    """A step for [sample]."""

    def step(text, sample):
        if BROKEN and text == "3":
            raise KeyError("three")
        return text

    return step


def no_answer():
    """A step for answers that raises at sample 4."""

    def step(text, sample):
        if BROKEN and sample.id == "4":
            raise RuntimeError("sample four")
        return text

    return step


@dataclass
class Right(Evaluator):
    """Every answer is right."""

    raises: Annotated[str, "where to raise"] = ""
    how: Annotated[str, "how to raise"] = ""
    gives: Annotated[str, "what to return that is no score"] = ""

    def __post_init__(self):
        self._maybe("constructor")
        if BROKEN and self.raises == "library":
            try:
                import a_library_that_is_not_there
            except ImportError as error:
                raise PluginError(f"grading needs {error.name}: run pip install it") from error

    def _maybe(self, where):
        if BROKEN and self.raises == where and self.how:
            fail(self.how)
        if BROKEN and self.raises == where:
            raise ZeroDivisionError(f"in {where}")

    def score(self, answer, sample):
        if sample.id in ("2", "5"):
            self._maybe("score")
            wrong = {"two": (2.0,), "nan": (float("nan"),), "none": (None,), "outcome": (1.0, "great")}
            if self.gives in wrong:
                return Score(*wrong[self.gives])
        if self.gives == "half":
            return Score(1.0, details={"why": "\\ud800"})
        return Score(1.0)

    def summarize(self, scores):
        self._maybe("summarize")
        return [Metric("accuracy", "high")] if self.gives == "word" else None

    def extra_metrics(self, scores):
        self._maybe("extra_metrics")
        return [Metric("extra", 7.0, count=len(scores))]


class Waiting(Right):
    """An evaluator whose judge never answers."""

    async def score(self, answer, sample):
        if sample.id == "0":
            print("the judge is asked", file=sys.stderr, flush=True)
        await asyncio.sleep(3600)


class Always(Right):
    """Another one, so that two can stand beside each other."""


@dataclass(kw_only=True, eq=False)
class Answers(Backend):
    """Answers without a service."""

    params = frozenset({"max_tokens"})
    raises: Annotated[str, "where to raise"] = ""
    how: Annotated[str, "how to raise"] = ""
    gives: Annotated[str, "what to answer at sample 3"] = ""

    def _maybe(self, where):
        if self.raises == where and self.how:
            fail(self.how)
        if self.raises == where:
            raise ZeroDivisionError(f"in {where}")

    def check_params(self, params):
        self._maybe("check_params")

    async def probe(self):
        self._maybe("probe")
        return 5 if self.gives == "no info" else ServiceInfo()

    async def generate(self, request):
        yield Chunk("content", "answer ")
        if request.sample_id == "3":
            self._maybe("generate")
            wrong = {"number": Chunk("content", 3), "half": Chunk("content", "\\ud800")}
            if self.gives in wrong:
                yield wrong[self.gives]
        yield Chunk("finish", finish_reason="stop")

    async def aclose(self):
        self._maybe("aclose")


@hookimpl
def aisb_backends():
    return {"answers": Answers}


@hookimpl
def aisb_datasets():
    return {"faulty-rows": rows}


@hookimpl
def aisb_postprocessors():
    return {"no-three": no_three, "no-answer": no_answer}


@hookimpl
def aisb_evaluators():
    return {"right": Right, "always": Always, "waiting": Waiting}
'''

TASK = """
[tasks.{name}]
summary = "a task of a test"
dataset = {{ use = "faulty-rows"{options} }}
sample = {{ target = "{{number}}"{sample} }}
prompt = {{ user = "{{question.text}}"{prompt} }}
evaluate = [{evaluate}]
{more}
"""

FINE = '{ use = "right" }'


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Place:
    """A folder with an aisb.toml, in which commands run with the plugin installed."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.folder = folder
        self.installed = installed

    def task(
        self,
        name: str,
        *,
        options: str = "",
        sample: str = "",
        prompt: str = "",
        evaluate: str = FINE,
        more: str = "",
    ) -> None:
        parts = {"options": options, "sample": sample, "prompt": prompt, "evaluate": evaluate, "more": more}
        with (self.folder / "aisb.toml").open("a", encoding="utf-8") as file:
            file.write(TASK.format(name=name, **parts))

    def aisb(self, *words: str, mended: bool = False) -> Ended:
        known = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
        done = run_forked(
            [sys.executable, "-m", "aisb_cli.main", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={
                **known,
                "COLUMNS": "250",
                "PYTHONPATH": os.pathsep.join([str(self.installed), known.get("PYTHONPATH", "")]),
                **({"MENDED": "1"} if mended else {}),
            },
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def run(self, *tasks: str, mended: bool = False, more: tuple[str, ...] = ()) -> Ended:
        return self.aisb("run", "--models", "sim", "--datasets", *tasks, *more, mended=mended)

    @property
    def latest(self) -> Path:
        return max((self.folder / "outputs/default").iterdir())

    def results(self, task: str) -> dict:
        return json.loads((self.latest / f"results/sim/{task}.json").read_bytes())

    def lines(self, path: str) -> list[dict]:
        return [json.loads(line) for line in (self.latest / path).read_bytes().splitlines()]

    @property
    def log(self) -> str:
        return (self.latest / "logs/plugins.log").read_text("utf-8")

    @property
    def summary(self) -> str:
        (file,) = self.latest.glob("summary/*.txt")
        return file.read_text("utf-8")


def unfolded(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    project, target = tmp_path_factory.mktemp("aisb-faulty"), tmp_path_factory.mktemp("installed")
    (project / "aisb_faulty").mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "aisb_faulty/__init__.py").write_text(PLUGIN)
    return install(target, project)


@pytest.fixture
def place(tmp_path, installed):
    return Place(tmp_path, installed)


def test_a_dataset_that_raises_costs_its_own_task_alone(place):
    place.task("fine")
    place.task("rotten", options=", breaks = 3")
    ended = place.run("rotten", "fine")
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    assert not (place.latest / "results/sim/rotten.json").exists()
    fault = "dataset 'faulty-rows' of plugin faulty (aisb-faulty 1.0) failed in its row 3"
    assert f"rotten is skipped: {fault}: ValueError: row 3 of this dataset is rotten" in ended.stderr
    assert f"warning: rotten · sim: no result: {fault}" in unfolded(place.summary)
    manifest = json.loads((place.latest / "configs/manifest.json").read_bytes())
    assert manifest["tasks"]["rotten"]["skip_reason"].startswith(fault)
    assert "skip_reason" not in manifest["tasks"]["fine"]
    assert fault in (place.latest / "logs/infer/sim/rotten.out").read_text()
    assert "Traceback" in place.log
    assert 'raise ValueError(f"row {number} of this dataset is rotten")' in place.log
    assert f"traceback: {(place.latest / 'logs/plugins.log').relative_to(place.folder)}" in ended.stderr


def test_a_row_that_is_no_mapping_costs_its_own_task_alone(place):
    place.task("fine")
    place.task("listed", options=', breaks = 3, how = "list"')
    ended = place.run("listed", "fine")
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    fault = "dataset 'faulty-rows' of plugin faulty (aisb-faulty 1.0) failed in its row 3"
    reason = "TypeError: row 3: expected a mapping with fields, found ['no', 'mapping']"
    assert f"listed is skipped: {fault}: {reason}" in ended.stderr


def test_a_task_that_was_not_asked_is_asked_once_the_plugin_is_mended(place):
    place.task("fine")
    place.task("rotten", options=", breaks = 3")
    place.run("rotten", "fine")
    scored = place.aisb("score", "latest")
    assert scored.code == 1
    assert "rotten · sim: not run, and not scored: dataset 'faulty-rows'" in scored.stderr
    audited = place.aisb("audit", "latest")
    assert "rotten · sim is left out" in audited.stderr
    assert "fine · sim: 6 outputs" in audited.stdout
    again = place.aisb("run", "--reuse", mended=True)
    assert again.code == 0, again.stderr
    assert place.results("rotten")["accuracy"] == 100
    assert "skip_reason" not in (place.latest / "configs/manifest.json").read_text()
    assert "warning" not in place.summary


def test_a_run_of_which_no_task_can_be_asked_ends_with_2_and_leaves_no_folder(place):
    place.task("rotten", options=", breaks = 3")
    place.task("bad", options=", breaks = 0")
    ended = place.run("rotten", "bad")
    assert ended.code == 2
    assert "error: nothing can be sent: rotten, bad could not be prepared" in ended.stderr
    assert "ValueError: row 3 of this dataset is rotten" in ended.stderr
    assert "ValueError: row 0 of this dataset is rotten" in ended.stderr
    assert list((place.folder / "outputs/default").iterdir()) == []
    planned = place.run("rotten", "bad", more=("--dry-run",))
    assert planned.code == 2
    assert "row 0 of this dataset is rotten" in planned.stderr


STEP = ', clean = [{ use = "no-three" }]'


def test_a_step_that_raises_at_a_row_costs_that_sample_alone(place):
    place.task("fine")
    place.task("step", sample=STEP)
    ended = place.run("step", "fine", more=("--reporters", "text,csv,markdown,json,junit,html"))
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    results = place.results("step")
    assert (results["predictions"], results["failed"], results["outcomes"]["error"]) == (6, 1, 1)
    assert results["accuracy"] == pytest.approx(100 * 5 / 6, abs=0.01)
    assert results["first_error"] == {"request": "3", "log": "logs/infer/sim/step.out"}
    why = "postprocessor 'no-three' of plugin faulty (aisb-faulty 1.0) failed: KeyError: 'three'"
    assert f"step · sim: sample 3 could not be prepared, and is skipped: {why}" in ended.stderr
    assert f"request 3: not sent: {why}" in (place.latest / "logs/infer/sim/step.out").read_text()
    predictions = place.lines("predictions/sim/step.jsonl")
    assert [line["id"] for line in predictions] == list("012345")
    assert predictions[3]["failure"]["kind"] == "row"
    assert predictions[3]["failure"]["message"].startswith(why)
    scores = place.lines("results/sim/step_scores.jsonl")
    assert scores[3]["outcome"] == "error"
    assert scores[3]["details"]["failure"].startswith(f"row: {why}")
    assert "1 failed; everything is in" in ended.stderr


def test_a_sample_whose_row_could_not_be_made_is_asked_with_reuse_and_the_others_are_not(place):
    place.task("step", sample=STEP)
    assert place.run("step", more=("--max-failures", "5")).code == 1
    first = place.lines("predictions/sim/step.jsonl")
    assert place.aisb("score", "latest").code == 1
    again = place.aisb("run", "--reuse", mended=True)
    assert again.code == 0, again.stderr
    second = place.lines("predictions/sim/step.jsonl")
    assert second[3]["failure"] is None
    assert second[3]["gold"] == "3"
    assert [line for line in second if line["id"] != "3"] == [line for line in first if line["id"] != "3"]
    assert place.results("step")["accuracy"] == 100


def test_a_sample_whose_row_breaks_later_keeps_its_answer_for_when_it_is_mended(place):
    place.task("step", sample=STEP)
    place.run("step", mended=True)
    before = place.lines("predictions/sim/step.jsonl")
    assert place.aisb("run", "--reuse").code == 1
    assert place.results("step")["outcomes"]["error"] == 1
    assert place.aisb("run", "--reuse", mended=True).code == 0
    assert place.lines("predictions/sim/step.jsonl") == before


def test_ids_in_a_group_do_not_shift_when_a_row_of_it_is_broken(place):
    place.task("step", sample=f'{STEP}, group = "{{kind}}"')
    place.run("step")
    expected = ["even/0", "odd/0", "even/1", "odd/1", "even/2", "odd/2"]
    broken = place.lines("predictions/sim/step.jsonl")
    assert [line["id"] for line in broken] == expected
    assert [line["id"] for line in broken if line["failure"]] == ["odd/1"]
    place.aisb("run", "--reuse", mended=True)
    mended = place.lines("predictions/sim/step.jsonl")
    assert [line["id"] for line in mended] == expected
    assert [line["gold"] for line in mended] == list("012345")


def test_a_derived_field_that_breaks_keeps_the_place_of_its_row_where_the_group_is_known(place):
    field = ', fields = { more = { value = "{number}", clean = [{ use = "no-three" }] } }'
    place.task("known", sample=f'{field}, group = "{{kind}}"')
    place.task("unknown", sample=f'{field}, group = "g{{more}}"')
    place.run("known", "unknown")
    assert [line["id"] for line in place.lines("predictions/sim/known.jsonl") if line["failure"]] == ["odd/1"]
    assert "unknown · sim: no result: postprocessor 'no-three'" in unfolded(place.summary)


def test_a_row_with_a_table_whose_keys_are_numbers_is_kept(place):
    place.task("fine")
    assert place.run("fine").code == 0
    samples = gzip.decompress((place.latest / "log/sim/fine/samples.jsonl.gz").read_bytes()).splitlines()
    assert json.loads(samples[1])["fields"]["table"] == {"1": "one"}


def test_a_prompt_that_cannot_be_rendered_costs_its_sample_alone(place):
    place.task("gone", options=", gone = 3")
    ended = place.run("gone")
    assert ended.code == 1
    assert place.results("gone")["outcomes"]["error"] == 1
    assert (
        "dataset 'faulty-rows' of plugin faulty (aisb-faulty 1.0) failed in a prompt at sample 3 of gone: "
        "OSError: the file behind this field is gone"
    ) in ended.stderr
    assert place.aisb("run", "--reuse", mended=True).code == 0
    assert place.results("gone")["accuracy"] == 100


def test_a_broken_example_breaks_the_samples_that_show_it_and_changes_no_other_prompt(place):
    prompt = ', shots = 2, shot = "{target}", shots_from = { positions = [4, 3, 1, 0] }'
    place.task("shots", sample=STEP, prompt=prompt)
    place.run("shots")
    broken = place.lines("predictions/sim/shots.jsonl")
    assert all(line["failure"] for line in broken)
    assert place.aisb("run", "--reuse", mended=True).code == 0


def test_rows_that_cannot_be_made_are_not_asked_in_a_performance_run_and_are_no_failed_requests(place):
    place.task("step", sample=STEP)
    place.task("gone", options=", gone = 3")
    place.task("rotten", options=", breaks = 3")
    ended = place.run("step", "gone", "rotten", more=("--mode", "perf"))
    assert ended.code == 1
    assert "0 failed; everything is in" in ended.stderr
    for task in ("step", "gone"):
        load = json.loads((place.latest / f"log/sim/{task}/load.json").read_bytes())
        assert load["planned"] == 5
        (note,) = [line for line in load["notes"] if "could not be prepared" in line]
        assert note.startswith("sample 3 could not be prepared, and is skipped:")
        table = json.loads((place.latest / f"performances/sim/{task}.json").read_bytes())
        assert table["Total Requests"]["total"] == 5
        assert table["Failed Requests"]["total"] == 0
    assert "rotten is skipped" in ended.stderr


def test_an_evaluator_that_raises_at_an_answer_costs_that_answer_alone(place):
    place.task("fine")
    place.task("graded", evaluate='{ use = "right", raises = "score" }, { use = "always" }')
    ended = place.run("graded", "fine")
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    scores = place.lines("results/sim/graded_scores.jsonl")
    by_right = [line["outcome"] for line in scores if line["evaluator"] == "right"]
    assert by_right == ["correct", "correct", "error", "correct", "correct", "error"]
    assert [line["outcome"] for line in scores if line["evaluator"] == "always"] == ["correct"] * 6
    line = (
        "evaluator 'right' of plugin faulty (aisb-faulty 1.0) failed in score at sample 2 of graded: "
        "ZeroDivisionError: in score"
    )
    assert ended.stderr.count(line) == 1
    assert "(and 1 more like it); traceback: " in ended.stderr
    assert line in unfolded(place.summary)
    assert place.log.count("Traceback") == 1
    assert "at sample 5 of graded" in place.log


@pytest.mark.parametrize("where", ["summarize", "constructor"])
def test_an_evaluator_that_cannot_sum_up_or_be_made_costs_its_own_metrics_alone(place, where):
    place.task("fine")
    place.task("alone", evaluate=f'{{ use = "right", raises = "{where}" }}')
    place.task("both", evaluate=f'{{ use = "right", raises = "{where}" }}, {{ use = "always" }}')
    reporters = ("--reporters", "text,csv,markdown,json,junit,html", "--max-failures", "100")
    ended = place.run("alone", "both", "fine", more=reporters)
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    assert place.results("both")["accuracy"] == 100
    assert [metric["name"] for metric in place.results("both")["metrics"]] == ["accuracy", "extra"]
    assert place.results("alone")["metrics"] == []
    hook = {"constructor": "its factory"}.get(where, where)
    fault = f"evaluator 'right' of plugin faulty (aisb-faulty 1.0) failed in {hook} at task alone"
    assert f"warning: alone · sim: {fault}: ZeroDivisionError: in {where}" in unfolded(place.summary)
    assert "warning: both · sim: evaluator 'right'" in unfolded(place.summary)
    assert len([line for line in ended.stderr.splitlines() if "traceback: " in line]) == 1
    assert "ZeroDivisionError" in place.log
    again = place.aisb("score", "latest", mended=True)
    assert again.code == 0
    assert place.results("alone")["accuracy"] == 100
    assert "warning" not in place.summary


def test_an_evaluator_that_says_which_library_it_needs_is_an_error_in_its_own_words(place):
    place.task("needs", evaluate='{ use = "right", raises = "library" }')
    ended = place.run("needs")
    assert ended.code == 2
    assert "error: grading needs a_library_that_is_not_there: run pip install it" in ended.stderr
    assert "failed in its factory" not in ended.stderr


def test_extra_metrics_that_raise_are_missing_and_the_others_stay(place):
    place.task("fine")
    place.task("extra", evaluate='{ use = "right", raises = "extra_metrics" }')
    ended = place.run("extra", "fine")
    assert ended.code == 1
    assert [metric["name"] for metric in place.results("extra")["metrics"]] == ["accuracy"]
    assert "failed in extra_metrics at task extra: ZeroDivisionError" in ended.stderr
    assert "failed in extra_metrics" in unfolded(place.summary)


def test_a_step_that_raises_at_an_answer_costs_that_answer_and_is_named(place):
    place.task("step", more='postprocess = [{ use = "no-answer" }]')
    ended = place.run("step")
    assert ended.code == 1
    assert place.results("step")["outcomes"]["error"] == 1
    line = "postprocessor 'no-answer' of plugin faulty (aisb-faulty 1.0) failed at sample 4 of step"
    assert f"{line}: RuntimeError: sample four" in ended.stderr
    audited = place.aisb("audit", "latest")
    assert audited.code == 1
    assert line in audited.stderr


def test_targets_that_cannot_be_made_again_are_errors_of_their_samples(place):
    place.task("fine")
    place.run("fine")
    scored = place.aisb("score", "latest", "--set", 'task.sample.clean=[{use="no-three"}]')
    assert scored.code == 1
    assert place.results("fine")["outcomes"]["error"] == 1
    assert "postprocessor 'no-three' of plugin faulty (aisb-faulty 1.0) failed at sample 3" in scored.stderr


def test_a_plan_counts_what_can_be_asked_and_names_what_cannot(place):
    place.task("step", sample=STEP)
    place.task("rotten", options=", breaks = 3")
    ended = place.run("step", "rotten", more=("--dry-run", "--json"))
    assert ended.code == 1
    requests = {row["task"]: row["requests"] for row in json.loads(ended.stdout)["subtasks"]}
    assert requests == {"step": 5, "rotten": 0}
    assert "failed at sample 3 of step: KeyError: 'three'" in ended.stderr
    assert "row 3 of this dataset is rotten" in ended.stderr


def test_the_prompts_of_a_task_are_shown_beside_those_that_cannot_be_made(place):
    place.task("step", sample=STEP)
    place.task("rotten", options=", breaks = 3")
    shown = place.aisb("tasks", "show", "step", "--sample", "5")
    assert shown.code == 1
    assert "question 4" in shown.stdout
    assert "cannot be sent: postprocessor 'no-three' of plugin faulty" in shown.stdout
    rotten = place.aisb("tasks", "show", "rotten", "--sample", "5")
    assert rotten.code == 2
    assert (
        "error: dataset 'faulty-rows' of plugin faulty (aisb-faulty 1.0) failed in its row 3" in rotten.stderr
    )


def test_outputs_from_anywhere_are_graded_as_far_as_plugins_can(place):
    place.task("graded", evaluate='{ use = "right", raises = "score" }')
    place.task("summed", evaluate='{ use = "right", raises = "summarize" }')
    place.task("unmade", evaluate='{ use = "right", raises = "constructor" }')
    place.task("step", sample=STEP)
    lines = "".join(json.dumps({"output": "x", "reference": str(number)}) + "\n" for number in range(1, 5))
    (place.folder / "out.jsonl").write_text(lines)
    graded = place.aisb("grade", "graded", "out.jsonl")
    assert graded.code == 1
    outcomes = [json.loads(line)["outcome"] for line in graded.stdout.splitlines()]
    assert outcomes == ["correct", "error", "correct", "correct"]
    assert "failed in score at sample 2 of graded: ZeroDivisionError: in score" in graded.stderr
    summed = place.aisb("grade", "summed", "out.jsonl")
    assert (summed.code, len(summed.stdout.splitlines())) == (1, 4)
    assert "failed in summarize: ZeroDivisionError" in summed.stderr
    unmade = place.aisb("grade", "unmade", "out.jsonl")
    assert unmade.code == 2
    assert "error: no evaluator of unmade can be created" in unmade.stderr
    step = place.aisb("grade", "step", "out.jsonl")
    assert (step.code, len(step.stdout.splitlines())) == (1, 3)
    assert "line 3 is left out: postprocessor 'no-three' of plugin faulty" in step.stderr


def test_what_a_plugin_says_of_data_or_options_still_stops_before_the_first_request(place):
    place.task("fine")
    place.task("misspelt", sample=', fields = { a = { value = "{nothing}" } }')
    ended = place.run("fine", "misspelt")
    assert ended.code == 2
    assert "no field 'nothing' in row" in ended.stderr
    assert list((place.folder / "outputs/default").iterdir()) == []


HOW = ("exit", "cancel", "unprintable")


@pytest.mark.parametrize("how", HOW)
def test_a_plugin_that_ends_the_process_or_cannot_be_printed_costs_no_more_than_any_other(place, how):
    place.task("fine")
    place.task("rotten", options=f', breaks = 3, how = "{how}"')
    place.task("graded", evaluate=f'{{ use = "right", raises = "score", how = "{how}" }}')
    place.task("summed", evaluate=f'{{ use = "right", raises = "summarize", how = "{how}" }}')
    ended = place.run("rotten", "graded", "summed", "fine")
    assert ended.code == 1
    assert place.results("fine")["accuracy"] == 100
    assert place.results("graded")["outcomes"]["error"] == 2
    name = {"exit": "SystemExit: 0", "cancel": "CancelledError", "unprintable": "Unprintable"}[how]
    assert f"failed in its row 3 at task rotten: {name} (" in ended.stderr
    assert f"failed in score at sample 2 of graded: {name} (" in ended.stderr
    assert f"failed in summarize at task summed: {name} (" in ended.stderr


@pytest.mark.parametrize("gives", ["two", "nan", "none", "outcome"])
def test_a_score_that_cannot_be_summed_up_is_an_error_of_its_sample(place, gives):
    place.task("graded", evaluate=f'{{ use = "right", gives = "{gives}" }}')
    ended = place.run("graded")
    assert ended.code == 1
    assert place.results("graded")["outcomes"]["error"] == 2
    assert "evaluator 'right' of plugin faulty (aisb-faulty 1.0) failed in score at sample 2" in ended.stderr


def test_a_metric_that_is_no_number_costs_the_metrics_of_its_evaluator_alone(place):
    place.task("summed", evaluate='{ use = "right", gives = "word" }, { use = "always" }')
    ended = place.run("summed")
    assert ended.code == 1
    assert [metric["name"] for metric in place.results("summed")["metrics"]] == ["accuracy", "extra"]
    assert "failed in summarize at task summed: ValueError: metric 'accuracy' has 'high'" in ended.stderr


def test_a_text_that_is_no_unicode_costs_its_sample_and_the_run_can_be_scored(place):
    place.task("fine")
    place.task("half", options=", half = 3", evaluate='{ use = "right", gives = "half" }')
    ended = place.run("half", "fine", more=("--workers", "2"))
    assert ended.code == 1
    assert "failed in a prompt at sample 3 of half: UnicodeEncodeError" in ended.stderr
    assert place.results("fine")["accuracy"] == 100
    assert place.results("half")["outcomes"]["error"] == 1
    assert place.lines("results/sim/half_scores.jsonl")[0]["details"] == {"why": "?"}
    assert place.aisb("score", "latest").code == 1


@pytest.mark.parametrize("option", [*(f"how={how}" for how in HOW), "gives=number", "gives=half"])
def test_a_backend_that_raises_or_gives_what_cannot_be_kept_costs_that_request_alone(place, option):
    place.task("fine")
    sets = ("--set", "load.retries=0", "--set", "model.raises=generate", "--set", f"model.{option}")
    sets = sets[:2] + sets[4:] if option.startswith("gives") else sets
    ended = place.aisb("run", "--models", "answers", "--datasets", "fine", *sets)
    assert ended.code == 1
    assert re.search(r"fine · answers: done: .* 1 failed in .*; the first is request 3", ended.stderr)
    (results,) = place.latest.glob("results/answers/fine.json")
    assert json.loads(results.read_bytes())["outcomes"]["error"] == 1


@pytest.mark.parametrize(
    ("during", "option"),
    [("check_params", "raises=check_params"), ("probe", "raises=probe"), ("probe", "gives=no info")],
)
def test_a_backend_that_fails_before_the_first_request_is_named(place, during, option):
    place.task("fine")
    ended = place.aisb("run", "--models", "answers", "--datasets", "fine", "--set", f"model.{option}")
    assert ended.code == 2
    assert f"error: backend 'answers' of plugin faulty (aisb-faulty 1.0) failed in {during}: " in ended.stderr
    assert not list(place.folder.glob("outputs/default/*"))


def test_a_backend_that_ends_the_process_when_it_is_closed_loses_nothing(place):
    place.task("fine")
    options = ("--set", "model.raises=aclose", "--set", "model.how=exit")
    ended = place.aisb("run", "--models", "answers", "--datasets", "fine", *options)
    assert ended.code == 0
    assert "0 failed; everything is in" in ended.stderr


def test_ctrl_c_ends_the_scoring_that_comes_after_the_asking(place):
    place.task("judged", evaluate='{ use = "waiting" }')
    known = {key: value for key, value in os.environ.items() if not key.startswith("AISB_")}
    path = os.pathsep.join([str(place.installed), known.get("PYTHONPATH", "")])
    process = Forked(
        [sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "judged"],
        cwd=place.folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**known, "PYTHONPATH": path},
    )
    with process:
        try:
            for line in process.stderr:
                if "the judge is asked" in line:
                    break
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert stderr.strip().startswith("interrupted\nthe answers so far are kept in outputs/default/")


def test_options_of_a_reporter_that_is_not_there_are_refused(place):
    place.task("fine")
    ended = place.run("fine", more=("--set", "run.reporter_options.htlm.beside=true"))
    assert ended.code == 2
    assert "error: run.reporter_options.htlm: no reporter named 'htlm'; did you mean 'html'?" in ended.stderr


def test_a_plan_warns_of_a_parameter_that_is_nearly_a_known_one(place):
    place.task("fine")
    ended = place.aisb(
        *("run", "--models", "vllm-chat", "--datasets", "fine", "--dry-run", "--set", "params.temprature=1")
    )
    assert ended.code == 0
    assert "did you mean 'temperature'" in ended.stderr
