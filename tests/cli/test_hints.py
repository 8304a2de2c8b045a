"""Every command that a message or a report names is a real one, and finds its run in any work folder."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import click
import pytest
from forked import run_forked

from aisb_cli.invocation import Invocation
from aisb_cli.main import cli
from aisb_cli.viewing.reading import RunReader
from aisb_engine import RunFolder
from aisb_mock import MockOptions
from aisb_mock._author import Author
from aisb_mock._command import hints as mock_hints

ROOT = Path(__file__).parents[2]
WORK = "my runs"
"""A work folder that must be quoted."""
END = re.compile(r'; |",?$|\*\*$')
"""What ends a command: further words, or the form of a JSON or Markdown file."""
SETTINGS = {"COLUMNS": "200"}

Run = Callable[..., str]


@pytest.fixture
def aisb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs `aisb` in an empty folder, and returns everything that it prints."""
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, code: int = 0) -> str:
        ended = run_forked([sys.executable, "-m", "aisb_cli.main", *words], capture_output=True, text=True)
        said = ended.stdout + ended.stderr
        assert ended.returncode == code, said
        return str(said)

    return run


def hints(text: str) -> Iterator[str]:
    """Yield the commands on runs in a text; a name in capitals, as in `aisb score RUN`, is for the user."""
    names = "|".join(cli.list_commands(click.Context(cli)))
    for line in text.splitlines():
        for found in re.finditer(rf"\baisb (?:{names})\b.*", line):
            yield END.split(found[0])[0].strip()


def leaf(words: list[str]) -> click.Context:
    """Parse a command line as the command does; return the context of the command that would run."""
    program, *rest = words
    assert program == "aisb"
    context = cli.make_context("aisb", rest, obj=Invocation())
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, words
        assert name is not None, words
        command, context = found, found.make_context(name, list(rest), parent=context)
    return context


def check(text: str, *, at_least: int = 1) -> list[str]:
    """Parse every hint of a text, and find the runs that they name; return the hints."""
    found = list(dict.fromkeys(hints(text)))
    assert len(found) >= at_least, text
    for hint in found:
        with leaf(shlex.split(hint)) as context:
            given = context.params
            for name in filter(None, (given.get("which"), given.get("reuse"), *given.get("runs", ()))):
                folder = RunFolder.find(given["work_dir"], str(name))
                assert folder.config.exists(), hint
    return found


def only_run(work: str = WORK) -> Path:
    (run,) = Path(work).iterdir()
    return run


SIM = ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4")
FAILING = ("--set", 'model.faults=["status-500@1"]', "--set", "load.retries=0")


def test_a_run_with_failures_names_the_command_that_asks_again(aisb: Run) -> None:
    said = aisb(*SIM, *FAILING, "-w", WORK, "--reporters", "text,json,markdown,html", code=1)
    resume = f"aisb run --reuse {only_run().name} -w 'my runs'"
    hinted = {resume, f"aisb logs {only_run().name} -w 'my runs'"}
    assert set(check(said)) == hinted
    for file in only_run().glob("summary/*"):
        if file.suffix in {".txt", ".md", ".json"}:
            assert set(check(file.read_text(), at_least=0)) <= hinted, file
    assert "4/4 finished, 0 failed" in aisb(*shlex.split(resume)[1:], "--set", "model.faults=[]")


def test_a_run_in_the_usual_folder_is_named_by_its_time_alone(aisb: Run) -> None:
    said = aisb(*SIM, *FAILING, code=1)
    name = only_run("outputs/default").name
    assert check(said) == [f"aisb logs {name}", f"aisb run --reuse {name}"]


def test_a_run_that_is_resumed_by_its_path_is_named_with_its_work_folder(aisb: Run) -> None:
    aisb(*SIM, *FAILING, "-w", WORK, code=1)
    said = aisb("run", "--reuse", str(only_run()), code=1)
    assert f"aisb run --reuse {only_run().name} -w 'my runs'" in check(said)


def test_the_refusals_of_a_performance_run_name_what_works(aisb: Run) -> None:
    said = aisb(*SIM, "--mode", "perf", "-w", WORK)
    run = only_run().name
    (again,) = check(said)
    assert again == f"aisb run --mode perf_viz --reuse {run} -w 'my runs'"
    assert "certificate" in aisb(*shlex.split(again)[1:])
    refused = aisb("run", "--reuse", "-w", WORK, code=2)
    assert check(refused) == [again, f"aisb score {run} -w 'my runs'"]
    assert "accuracy" in aisb(*shlex.split(check(refused)[1])[1:])


def test_messages_on_a_scored_run_name_commands_that_work(aisb: Run) -> None:
    aisb(*SIM, "-w", WORK)
    run = only_run()
    score = f"aisb score {run.name} -w 'my runs'"
    assert check(aisb("run", "--mode", "perf", "--reuse", "-w", WORK, code=2)) == [
        f"aisb run --mode perf_viz --reuse {run.name} -w 'my runs'"
    ]
    trial = aisb("score", "latest", "-w", WORK, "--set", 'task.postprocess=[{use="last-line"}]')
    assert score in check(trial)
    assert check(aisb("pack", str(run), code=2)) == [score]
    (scores,) = run.glob("results/*/*_scores.jsonl")
    scores.write_text("damaged\n")
    damaged = aisb("report", run.name, "-w", WORK, "--reporters", "junit", code=1)
    assert score in check(damaged + (run / "logs/plugins.log").read_text(), at_least=1)
    (result,) = run.glob("results/*/demo_gsm8k.json")
    result.write_text("{}")
    assert check(aisb("report", run.name, "-w", WORK, code=2)) == [score]
    aisb(*shlex.split(score)[1:])
    packed = aisb("pack", str(run), "-o", "my run.capsule")
    (verify,) = check(packed)
    assert verify == "aisb verify 'my run.capsule'"
    aisb(*shlex.split(verify)[1:])


def test_a_run_that_stopped_itself_names_the_command_that_resumes_it(aisb: Run) -> None:
    said = aisb(*SIM, "--token-budget", "100", "--concurrency", "1", "-w", WORK, code=4)
    (resume,) = check(said)
    assert resume == f"aisb run --reuse {only_run().name} -w 'my runs'"
    said = aisb(*shlex.split(resume)[1:], "--token-budget", "1000000")
    assert "4/4 finished" in said


def test_results_of_another_tool_name_the_command_that_imports_them(aisb: Run) -> None:
    folder = Path(WORK, "20251120_101500", "predictions", "m")
    folder.mkdir(parents=True)
    (folder / "gsm8k.json").write_text('{"0": {"prediction": "7", "gold": "7", "origin_prompt": "4 + 3"}}')
    (folder.parents[1] / "configs").mkdir()
    said = aisb("runs", "show", "20251120_101500", "-w", WORK, code=2)
    (command,) = check(said)
    assert command == "aisb import 'my runs/20251120_101500'"
    aisb(*shlex.split(command)[1:], "--no-score")


def test_a_new_task_and_a_mock_server_name_commands_that_can_be_copied(aisb: Run) -> None:
    Path("my questions.csv").write_text("question,answer\n1 + 1,2\n")
    commands = check(aisb("tasks", "new", "my questions.csv"), at_least=2)
    for command in commands:
        aisb(*shlex.split(command)[1:])
    known = MockOptions(models=("a", "b"), api_key="sesame")
    told = mock_hints("http://127.0.0.1:8000", known, Author(known))
    assert check(told) == [
        "aisb run --url http://127.0.0.1:8000 --model-name a --api-key-env NAME --datasets demo_gsm8k"
    ]


def test_the_page_of_runs_names_commands_that_work(aisb: Run) -> None:
    aisb(*SIM, "-w", WORK)
    name = only_run().name
    reading = RunReader(Path(WORK), lambda: Invocation().load_plugins(quiet=True))
    assert check(reading.run(name)["make_page"]) == [f"aisb report --reporters html {name} -w 'my runs'"]


BY_HAND = re.compile(r"aisb [a-z]+[^\"'`]*\{[^}]*(?:timestamp|\bfolder\b|\brun\.path\b)[^}]*\}")
"""A command with the place of a run in it, which is neither quoted nor found in every work folder."""


@pytest.mark.parametrize("part", ["core/aisb", "engine/aisb_engine", "cli/aisb_cli", "plugins"])
def test_no_message_writes_the_command_on_a_run_by_hand(part: str) -> None:
    files = [path for path in (ROOT / part).rglob("*.py") if "tests" not in path.parts]
    assert files
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        for line in path.read_text("utf-8").splitlines()
        if BY_HAND.search(line) and "shlex.quote" not in line
    ]
    assert not found


def all_commands(group: click.Group = cli) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from all_commands(command)


def test_the_examples_in_help_texts_are_command_lines() -> None:
    texts = [(command.help or "").replace("\\\n", " ") for command in (cli, *all_commands())]
    begins = ("aisb ", "cd ", "ls ", "ssh ", "echo ")
    lines = [line for text in texts for line in text.splitlines() if line.strip().startswith(begins)]
    quoted = r"aisb [^|)\"]*(?:\"[^\"]*\"[^|)\"]*)*"
    examples = [found for line in lines for found in re.findall(quoted, line)]
    assert len(examples) > 50
    for example in examples:
        names_a_file = ".capsule" in example  # of the user: it is not there
        with suppress(click.BadParameter) if names_a_file else nullcontext():
            leaf(shlex.split(example)).close()


def test_the_commands_in_the_pages_are_command_lines() -> None:
    names = "|".join(cli.list_commands(click.Context(cli)))
    count = 0
    for page in (*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/plugins/*.md")):
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            text = re.sub(r"\\\n\s*", "", block)
            # Two spaces are those of a table; a comment, `&` or a pipe ends a command.
            for line in re.findall(rf"^(?:\$ )?(aisb (?:{names})\b.*)$", text, re.MULTILINE):
                command = re.split(r"\s+(?:#|&|\||>)", line)[0]
                if "  " not in command and "…" not in command:
                    leaf(shlex.split(command)).close()
                    count += 1
    assert count > 50
