"""Without ray the launcher is listed, ray is never imported, and a run that chooses it says what to install."""

import os
import subprocess
import sys

import pytest

BLOCKED = "import sys; sys.modules['ray'] = None\nfrom aisb_cli.main import main\n"


def aisb(folder, *words):
    # A module that is None cannot be imported, and `find_spec` does not find it.
    code = f"{BLOCKED}sys.argv = ['aisb', *{list(words)!r}]\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_run_without_ray_says_what_to_install(tmp_path):
    ended = aisb(tmp_path, "run", "--models", "sim", "--datasets", "demo_gsm8k", "--launcher", "ray")
    assert ended.returncode == 2, ended.stderr
    assert (
        "the launcher 'ray' needs the package ray, which is not installed: pip install 'ray" in ended.stderr
    )
    assert "Traceback" not in ended.stderr


def test_the_launcher_is_shown_without_ray(tmp_path):
    ended = aisb(tmp_path, "plugins", "show", "ray")
    assert ended.returncode == 0, ended.stderr
    assert "address" in ended.stdout
    assert "start_within" in ended.stdout


WATCHER = """\
import os
import sys

sys.modules["ray"] = None  # as where it is not installed


def watch(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] == "ray":
        with open(os.environ["RAY_IMPORTS"], "a") as file:
            file.write(f"{arguments[0]} by {sys.argv}\\n")


sys.addaudithook(watch)
"""


@pytest.fixture
def imports_of(tmp_path):
    """Runs Python in an environment whose processes, also their children, log each attempt to import ray."""
    (tmp_path / "watcher").mkdir()
    (tmp_path / "watcher" / "sitecustomize.py").write_text(WATCHER)
    log = tmp_path / "imports"

    def imports_of(*words):
        log.write_text("")
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "watcher"), "RAY_IMPORTS": str(log)},
        )  # fmt: skip
        return ended, log.read_text()

    return imports_of


def test_an_attempt_to_import_ray_is_seen(imports_of):
    ended, imports = imports_of(
        "-c", "import contextlib\nwith contextlib.suppress(ImportError): import ray.util"
    )
    assert ended.returncode == 0, ended.stderr
    assert imports.startswith("ray")


@pytest.mark.parametrize(
    "words",
    [
        ("plugins", "list", "--all"),
        ("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", "--workers", "2"),
        ("run", "--models", "sim", "--datasets", "synthetic", "-m", "perf", "--num-prompts", "4"),
        ("doctor",),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_an_install_without_ray_never_imports_it(imports_of, words):
    ended, imports = imports_of("-m", "aisb_cli.main", *words)
    assert ended.returncode in {0, 1}, ended.stderr  # of doctor, where this machine has a problem
    assert imports == ""
