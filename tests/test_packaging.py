"""Every distribution builds a wheel that holds what it needs and installs alone; the project's set-up says what fails."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email import message_from_string
from itertools import chain
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
PROJECTS = sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")])
WORKSPACE = ROOT / "tools" / "workspace.py"
sys.path.insert(0, str(ROOT / "tools"))

import workspace  # noqa: E402 - from the folder of the line above

NOT_SHIPPED = {"__pycache__"}


def distribution(project):
    return tomllib.loads(project.read_text("utf-8"))["project"]["name"]


def packages(project):
    return tomllib.loads(project.read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


PARAMETERS = [pytest.param(project, id=distribution(project)) for project in PROJECTS]
QUICKLY = ("aisb-core", "aisb-evaluator-text")
"""Distributions whose wheels are built and looked at in the quick tests, too."""


def run(*command, **more):
    # These tests are run by make, which would take the make of a test for a part of itself.
    alone = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=alone, **more)


def by_distribution(files):
    return {wheel.name.split("-")[0].replace("_", "-"): wheel for wheel in files}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The wheels of this checkout, by the name of their distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    built = run(sys.executable, WORKSPACE, "wheels", folder)
    assert built.returncode == 0, built.stderr
    return by_distribution(folder.glob("*.whl"))


def unpack(target, file):
    """Put a wheel into a folder of its own, as pip would, without what it needs."""
    with zipfile.ZipFile(file) as wheel:
        wheel.extractall(target)
    return target


@pytest.fixture(scope="session")
def unpacked(wheels, tmp_path_factory):
    """The folder of each distribution with its wheel: a module that several tests import is compiled once."""
    folder = tmp_path_factory.mktemp("unpacked")
    return {name: unpack(folder / name, wheel) for name, wheel in wheels.items()}


def importing(targets, code):
    """Run code that sees the folders and what others have written, but nothing of this checkout."""
    # -S leaves .pth files unread, and they are what editable installs consist of.
    paths = [*map(str, targets), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return run(
        sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}", cwd=targets[0]
    )


def test_the_core_and_a_plugin_have_wheels_that_hold_what_they_need_and_import_alone(tmp_path):
    """As the slow tests below for all distributions."""
    quick = {distribution(project): project for project in PROJECTS if distribution(project) in QUICKLY}
    builders = [WheelBuilder(str(project.parent)) for project in quick.values()]
    files = [file for one in builders for file in one.build(directory=str(tmp_path), versions=["standard"])]
    built = by_distribution(map(Path, files))
    assert set(built) == set(QUICKLY)
    for name, project in quick.items():
        check_files(project, built[name])
        check_metadata(project, built[name])
    assert needed_by("aisb-evaluator-text") == sorted(QUICKLY)
    folders = {name: unpack(tmp_path / name, wheel) for name, wheel in built.items()}
    check_loading(quick["aisb-evaluator-text"], folders)


@pytest.mark.slow
def test_every_distribution_has_a_wheel(wheels):
    assert set(wheels) == {distribution(project) for project in PROJECTS}


@pytest.mark.slow
def test_every_wheel_but_that_of_the_speedups_fits_every_python_and_platform(wheels):
    kept = {name for name, wheel in wheels.items() if not wheel.name.endswith("-py3-none-any.whl")}
    assert kept <= {"aisb-speedups"}


@pytest.mark.slow
@pytest.mark.parametrize("project", PARAMETERS)
def test_a_wheel_holds_every_file_of_its_packages(wheels, project):
    check_files(project, wheels[distribution(project)])


def check_files(project, file):
    wanted = {
        file.relative_to(project.parent).as_posix()
        for package in packages(project)
        for file in (project.parent / package).rglob("*")
        if file.is_file() and not NOT_SHIPPED & set(file.parts)
    }
    with zipfile.ZipFile(file) as wheel:
        shipped = set(wheel.namelist())
    assert wanted <= shipped
    assert {f"{package}/py.typed" for package in packages(project)} <= shipped
    assert not [name for name in shipped if "/tests/" in name or name.endswith(".pyc")]


@pytest.mark.slow
@pytest.mark.parametrize("project", PARAMETERS)
def test_a_wheel_says_what_it_is_and_where_its_plugin_stands(wheels, project):
    check_metadata(project, wheels[distribution(project)])


def check_metadata(project, file):
    declared = tomllib.loads(project.read_text("utf-8"))["project"]
    with zipfile.ZipFile(file) as wheel:
        info = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
        metadata = message_from_string(wheel.read(f"{info}/METADATA").decode())
        plugs = f"{info}/entry_points.txt" in wheel.namelist()
        entry_points = wheel.read(f"{info}/entry_points.txt").decode() if plugs else ""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert metadata.get_payload().strip()  # the README, for a package index
    for name, module in declared.get("entry-points", {}).get("aisb", {}).items():
        assert f"{name} = {module}" in entry_points
    for name, function in declared.get("scripts", {}).items():
        assert f"{name} = {function}" in entry_points


@pytest.mark.slow
def test_pip_installs_every_wheel_and_the_core_imports_from_its_own(wheels, tmp_path):
    words = ["install", "--quiet", "--no-compile", "--no-deps", "--no-index", "--target", tmp_path]
    installed = run(sys.executable, "-m", "pip", *words, *wheels.values())
    assert installed.returncode == 0, installed.stderr
    imported = importing([tmp_path], "import aisb; print(aisb.__file__, aisb.__version__)")
    assert imported.stdout.split() == [str(tmp_path / "aisb" / "__init__.py"), "0.2.0"], imported.stderr


@pytest.mark.slow
def test_the_speedups_are_compiled_where_a_compiler_is_there_and_plain_where_none_is(wheels, tmp_path):
    from aisb_engine._stream import COMPILED

    with zipfile.ZipFile(wheels["aisb-speedups"]) as wheel:
        built = [name for name in wheel.namelist() if name.endswith(sysconfig.get_config_var("EXT_SUFFIX"))]
    assert bool(built) == COMPILED
    assert ("none-any" in wheels["aisb-speedups"].name) == (not built)
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = os.environ | {"CC": "/bin/false", "CXX": "/bin/false"}
    plain = subprocess.run(
        words,
        cwd=ROOT / "plugins/tools/speedups",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert (
        "the reader could not be compiled: aisb will use more of the processor" in plain.stdout + plain.stderr
    )
    assert [wheel.name for wheel in tmp_path.iterdir()] == ["aisb_speedups-0.2.0-py3-none-any.whl"]


@pytest.mark.slow
def test_the_speedups_are_built_from_their_sdist_which_holds_nothing_compiled(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path), "-t"]
    subprocess.run([*build, "sdist"], cwd=ROOT / "plugins/tools/speedups", capture_output=True, check=True)
    with tarfile.open(tmp_path / "aisb_speedups-0.2.0.tar.gz") as sdist:
        sdist.extractall(tmp_path, filter="data")
    unpacked = tmp_path / "aisb_speedups-0.2.0"
    for name in ("reader.py", "columns.py", "framing.py", "inbox.py", "kind.py", "known.py", "lines.py"):
        source = ROOT / "engine/aisb_engine/_stream" / name
        assert (unpacked / "source" / name).read_bytes() == source.read_bytes()
    assert {file.name for file in (unpacked / "aisb_speedups").iterdir()} == {"__init__.py", "py.typed"}
    plain = os.environ | {"CC": "/bin/false", "CXX": "/bin/false"}
    subprocess.run([*build, "wheel"], cwd=unpacked, env=plain, capture_output=True, check=True)
    with zipfile.ZipFile(tmp_path / "aisb_speedups-0.2.0-py3-none-any.whl") as wheel:
        assert not [name for name in wheel.namelist() if name.endswith(".so") or "_source" in name]


FACTORIES = """
from aisb._plugins import Plugins
loaded = Plugins.load()
for info in loaded.infos:
    if info.distribution == {name!r}:
        assert info.state == "loaded", info
for component in loaded.components():
    if component.distribution == {name!r}:
        component.factory
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("aisb")), sep="\\n")
"""


@pytest.mark.slow
@pytest.mark.parametrize("project", [one for one in PARAMETERS if one.id != "aisb-speedups"])
def test_a_plugin_loads_with_no_more_of_this_project_than_it_declares(unpacked, project):
    check_loading(project, unpacked)


def check_loading(project, unpacked):
    name = distribution(project)
    targets = [unpacked[one] for one in needed_by(name)]
    imports = "".join(f"import {package}\n" for package in packages(project))
    imported = importing(targets, imports + FACTORIES.format(name=name))
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout
    folders = tuple(f"{one}/" for one in targets)
    assert all(line.startswith(folders) for line in imported.stdout.splitlines())


@pytest.mark.parametrize("project", PARAMETERS)
def test_a_distribution_declares_what_its_modules_import(project):
    files = [file for package in packages(project) for file in (project.parent / package).rglob("*.py")]
    imported = {name for file in files for name in module_imports(ast.parse(file.read_text("utf-8")))}
    foreign = imported - set(sys.stdlib_module_names) - set(packages(project))
    own = {"aisb": "aisb-core", "aisb_cli": "aisb"}  # packages whose distribution has another name
    wanted = {own.get(name) or canonical(name) for name in foreign}
    declared = tomllib.loads(project.read_text("utf-8"))["project"]
    lines = chain(declared["dependencies"], *declared.get("optional-dependencies", {}).values())
    assert wanted <= {canonical(re.split(r"[^\w.-]", line)[0]) for line in lines}


def module_imports(tree):
    """The packages that importing a module imports: not those in functions, after a try, or for types alone."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def canonical(name):
    return name.lower().replace("_", "-")


def needed_by(name):
    """The distributions of this project that one of them declares, and those that these declare."""
    known = {distribution(project): project for project in PROJECTS}
    found, wanted = set(), {name}
    while wanted:
        one = wanted.pop()
        found.add(one)
        lines = tomllib.loads(known[one].read_text("utf-8"))["project"].get("dependencies", [])
        wanted |= {other for other in known for line in lines if re.split(r"[\[>]", line)[0] == other} - found
    return sorted(found)


def test_the_extra_all_brings_every_distribution_but_the_heavy_ones():
    project = tomllib.loads(Path(ROOT, "cli/pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["all"]]
    brought = {re.split(r"[^\w-]", line)[0] for line in lines if line.startswith("aisb-")}
    assert {"aisb", *brought} == set(workspace.distributions()) - set(workspace.heavy().values())


def test_make_install_wants_a_virtual_environment():
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    words = [python, ROOT / "tools/workspace.py", "install"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "python3 -m venv venv && . venv/bin/activate && make install" in ended.stderr


def test_make_install_names_the_large_parts_that_it_can_add():
    words = [sys.executable, ROOT / "tools/workspace.py", "install", "tgi"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "WITH takes hf, ray, not tgi\n")


def test_make_says_which_python_it_needs():
    made = run("make", "-C", ROOT, "demo", "PYTHON=no-such-python")
    assert made.returncode != 0
    assert "aisb needs Python 3.11 or newer; no-such-python is " in made.stdout
    assert "name a newer one: make PYTHON=python3.12 demo" in made.stdout


def test_make_alone_says_what_there_is():
    lines = run("make", "-s", "-C", ROOT).stdout.splitlines()
    named = [line.split()[1] for line in lines]
    assert {"demo", "test", "lint", "bench", "size", "wheels", "test-data", "test-servers"} <= set(named)
    assert max(map(len, lines)) <= 80


def test_a_set_up_that_is_ready_installs_nothing_and_says_nothing(tmp_path):
    """With copies of what decides on it, in a checkout whose .venv is marked as ready."""
    checkout = tmp_path / "checkout"
    for file in [*PROJECTS, WORKSPACE, ROOT / "tests" / "requirements.txt"]:
        copy = checkout / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    environment = checkout / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/bin/false")  # whoever starts it, fails
    workspace = checkout / "tools" / "workspace.py"
    marking = "VENV.joinpath('.ready-test').write_text(fingerprint('test', distributions().values()))"
    marked = run(sys.executable, "-c", f"from workspace import *; {marking}", cwd=workspace.parent)
    assert marked.returncode == 0, marked.stderr
    ready = run(sys.executable, workspace, "setup", "test")
    assert (ready.returncode, ready.stdout, ready.stderr) == (0, "", "")
    before = (environment / ".ready-test").read_text()
    project = checkout / "core" / "pyproject.toml"
    project.write_text(project.read_text("utf-8") + "\n# changed\n")
    run(sys.executable, "-c", f"from workspace import *; {marking}", cwd=workspace.parent)
    assert (environment / ".ready-test").read_text() != before


def test_what_a_step_said_is_shown_when_it_fails():
    failed = run(
        sys.executable,
        "-c",
        "from workspace import *; checked([sys.executable, '-c', 'print(1 / 0)'], 'dividing')",
        cwd=WORKSPACE.parent,
    )
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stderr
    assert failed.stderr.endswith("dividing failed; what it said stands above\n")


def test_ci_runs_the_test_command_of_the_readme(tmp_path):
    """With a Makefile that only says what was asked of it."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "Makefile").write_text("lint test-it:\n\t@echo made $@\n")
    readme = tmp_path / "README.md"
    readme.write_text(
        "# x\n\n```bash\n$ make demo   # see test\n$ make test-it   # all of them\n```\n\n```\nmake no\n```\n"
    )
    ran = run("bash", tmp_path / ".ci" / "run")
    assert ran.stdout.splitlines() == ["made lint", "+ make test-it", "made test-it"], ran.stderr
    readme.write_text("```\nmake demo\n```\n```\nmake test-it\n```\n")
    ran = run("bash", tmp_path / ".ci" / "run")
    assert ran.returncode == 1
    assert ran.stderr == "README.md: its first code block has no line that runs the tests\n"
