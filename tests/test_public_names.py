"""What a plugin may import: the contract, its own modules, and top-level names of distributions it declares."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aisb._plugins import Plugins

ROOT = Path(__file__).parent.parent
PUBLIC = ("aisb", "aisb.helpers")


def read_project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def import_name(distribution):
    return "aisb" if distribution == "aisb-core" else distribution.replace("-", "_")


FOLDERS = {
    read_project(file.parent)["project"]["name"]: file.parent
    for file in sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")])
}
PLUGINS = {
    name: folder
    for name, folder in FOLDERS.items()
    if folder.parent.name in {"backends", "datasets", "evaluators", "launchers", "reporters"}
}
CONSUMERS = {**PLUGINS, "aisb-analysis": FOLDERS["aisb-analysis"]}
"""Distributions that live on the public names; aisb-analysis takes those of the engine too."""


def declared_by(folder):
    """The distributions that one names, as dependencies or in an extra."""
    project = read_project(folder)["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {re.split(r"[^\w.-]", line)[0] for line in lines}


def imports_of(file):
    """Yield each module of this project that a file names in an import, in functions and for types too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            # `from package import _module` takes a private module as surely as `from package._module` does.
            private = [alias.name for alias in node.names if alias.name.startswith("_")]
            names = [f"{node.module}.{name}" for name in private] or [node.module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0].split("_")[0] == "aisb")


def imported_by(distribution):
    """The modules of other distributions that one imports."""
    folder = FOLDERS[distribution]
    own = read_project(folder)["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return {
        name
        for package in own
        for file in sorted((folder / package).rglob("*.py"))
        for name in imports_of(file)
        if name.split(".")[0] not in own
    }


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_plugin_imports_public_names_of_what_it_declares(name):
    allowed = {*PUBLIC, *(import_name(other) for other in declared_by(CONSUMERS[name]))}
    private = imported_by(name)
    assert private <= allowed, f"{name} imports {sorted(private - allowed)}"


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_plugin_declares_no_more_of_this_project_than_it_uses(name):
    folder = CONSUMERS[name]
    text = "\n".join(
        file.read_text("utf-8")
        for file in folder.rglob("*")
        if file.suffix in {".py", ".toml"} and file.name != "pyproject.toml" and "tests" not in file.parts
    )
    for other in declared_by(folder) & {*PLUGINS, "aisb-engine"}:
        if import_name(other) in text:
            continue
        offered = [one.name for one in COMPONENTS if one.distribution == other]
        assert any(f'"{one}"' in text for one in offered), f"{name} declares {other} and does not use it"


COMPONENTS = Plugins.load().components()
OFFERING = [
    import_name(name)
    for name, folder in FOLDERS.items()
    if hasattr(importlib.import_module(import_name(name)), "__all__")
]


@pytest.mark.parametrize("package", OFFERING)
def test_every_public_name_is_there_and_documented(package):
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert value.__doc__, f"{package}.{name} has no docstring"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("package", ["aisb_engine", "aisb_evaluator_overlap", "aisb_evaluator_text"])
def test_type_checkers_see_the_names_that_are_loaded_at_their_first_use(package):
    module = importlib.import_module(package)
    assert list(module._PLACES) == sorted(module.__all__)
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name: f"{line.module}:{alias.name}"
        for line in block.body
        for alias in line.names
    }
    places = {name: place if ":" in place else f"{place}:{name}" for name, place in module._PLACES.items()}
    assert imported == places


@pytest.mark.parametrize("package", ["aisb_engine", "aisb_evaluator_overlap", "aisb_evaluator_text"])
def test_importing_a_package_does_not_load_what_its_names_stand_for(package):
    """Every command imports every plugin."""
    code = (
        f"import sys, {package}; print(*(name for name in sys.modules if name.startswith({package + '.'!r})))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
