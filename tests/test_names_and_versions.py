"""Names that users write, and the version of each task, stay as they are; a change to them is made here on purpose."""

import ast
import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from aisb._plugins import Plugins
from aisb_engine._record.manifest import task_version
from aisb_engine._resolve.catalog import Catalog, read_toml
from aisb_engine._resolve.config import RunInput, resolve

ROOT = Path(__file__).parent.parent
STORED = json.loads((Path(__file__).parent / "golden" / "names_and_versions.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def test_entry_points_keep_their_names():
    names = {entry.name for entry in entry_points(group="aisb")}
    assert names >= set(STORED["entry_points"])


def test_components_keep_their_names(plugins):
    for kind, names in STORED["components"].items():
        assert set(plugins.names(kind)) >= set(names), kind


def test_core_and_engine_name_no_plugin(plugins):
    """Names of one plain word, such as `choice`, mean other things, too; they are left out."""
    others = [one for one in plugins.components() if one.distribution != "aisb-engine"]
    tasks = {entry.name for entry in Catalog(plugins).entries("task")}
    names = tasks | {one.name for one in others} | {one.distribution for one in others}
    names = {name for name in names if re.search(r"[-_\d]", name)} | {"sim"}
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])")
    found = {}
    for file in sorted([*ROOT.glob("core/aisb/**/*.py"), *ROOT.glob("engine/aisb_engine/**/*.py")]):
        if words := [word for text in literals(file) for word in pattern.findall(text)]:
            found[file.relative_to(ROOT).as_posix()] = words
    assert found == {}


def literals(file):
    """The texts in a module's code; docstrings are none."""
    tree = ast.parse(file.read_text("utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def test_model_files_keep_their_names(plugins):
    assert {entry.name for entry in Catalog(plugins).entries("model")} >= set(STORED["models"])


def test_tasks_keep_their_versions(plugins):
    names = [
        f"{entry.name}:{variant}" if variant else entry.name
        for entry in Catalog(plugins).entries("task")
        for variant in ("", *read_toml(entry.path).get("variants", {}))
    ]
    tasks = resolve(plugins, RunInput(models=["sim"], datasets=names)).tasks.values()
    found = {name: task_version(task) for name, task in zip(names, tasks, strict=True)}
    assert found == STORED["versions"]


def test_an_identity_has_the_keys_it_had():
    folder = Path(__file__).parent / "runs/accuracy/20261129_211322/log/small/sums"
    identity = json.loads((folder / "identity.json").read_text("utf-8"))
    assert list(identity) == [
        "task.prompt.user",
        "task.prompt.style",
        "task.sample.group",
        "task.dataset.use",
        "params.max_tokens",
        "params.temperature",
        "model.backend",
        "model.model",
        "model.system",
        "data.sha256",
        "data.shots_sha256",
    ]
