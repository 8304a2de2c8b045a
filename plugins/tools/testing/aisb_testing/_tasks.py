"""Fixtures for the tests of tasks: `make_task` resolves one over the test's own rows, as a run would.

A test module writes rows in the format of the task with a function `write_rows`, which returns their folder:

    def write_rows(folder):
        (folder / "letters.jsonl").write_text('{"question": "…", "answer": "b"}')
        return folder

    def test_the_question_is_sent(make_task):
        task, samples, renderer = make_task("letters")
        assert renderer.request(samples.samples[0]).messages[0].content == "…"

The fixture `data` is that folder, written once for the module. A module can define
another fixture `data` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from aisb_engine import LoadedSamples, Plugins, Renderer, Task

    MadeTask: TypeAlias = tuple[Task, LoadedSamples, Renderer]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """Load the installed plugins."""
    from aisb_engine import Plugins

    return Plugins.load()


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the rows that `write_rows` of the test module writes."""
    write_rows: Callable[[Path], Path] = request.module.write_rows
    return write_rows(tmp_path_factory.mktemp("data"))


_MADE = pytest.StashKey[dict[tuple[str, Path], "MadeTask"]]()
"""What the tests of a module have made: many of them use the same task."""


@pytest.fixture
def make_task(request: pytest.FixtureRequest, plugins: Plugins, data: Path) -> Callable[..., MadeTask]:
    """Return a function from a task's name to the task, its samples and its renderer.

    The rows are read from the folder of the module's fixture `data`, or from `root`. Without a `root`, a task
    is made once for the tests of a module, which must not change it.
    """
    from aisb_engine import DataFolders, Renderer, RunInput, load_samples, resolve_run

    module = request.node.getparent(pytest.Module)
    made: dict[tuple[str, Path], MadeTask] = (module or request.node).stash.setdefault(_MADE, {})

    def make(name: str, root: Path | None = None) -> MadeTask:
        if root is not None or (name, data) not in made:
            (task,) = resolve_run(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
            folders = DataFolders([root or data])
            new = task, load_samples(task, plugins, folders), Renderer(task, plugins, folders)
            if root is not None:
                return new
            made[name, data] = new
        return made[name, data]

    return make
