"""Set up .venv from this checkout, build its wheels, and weigh an installation: what the Makefile calls.

    python tools/workspace.py setup demo|test     what `make demo` or `make test` needs, in .venv
    python tools/workspace.py add ray             a large package that `setup` leaves out
    python tools/workspace.py install [NAME…]     all distributions, into the environment of this Python
    python tools/workspace.py wheels FOLDER       a wheel of every distribution
    python tools/workspace.py size                what `pip install aisb` brings beyond an empty environment

It needs Python 3.11 and nothing else. Distributions are found by their pyproject.toml, never listed.
"""
# ruff: noqa: INP001, S603, T201 - a program of the repository, which prints and starts pip

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PROFILES = {"demo": (), "test": (ROOT / "tests" / "requirements.txt",)}
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
MOST_MEGABYTES = 120
HEAVY = {"torch", "ray", "vllm"}
UNWANTED = {"torch", "transformers", "pandas", "plotly", "scipy", "sympy"}


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case ["setup", profile] if profile in PROFILES:
            setup(profile)
        case ["add", package] if package in (known := large()).values():
            needs = [
                line for folder, name in known.items() if name == package for line in foreign_needs(folder)
            ]
            # Compiled, because a raylet of Ray waits 15 s for processes that import hundreds of modules.
            pip(f"installing {package} and what it needs, which takes a while", "install", *needs)
        case ["install", *names]:
            install(names)
        case ["wheels", folder]:
            build(distributions().values(), Path(folder).resolve(), editable=False)
        case ["built", folder, *folders]:  # by `install`, likewise
            build(map(Path, folders), Path(folder), editable=False)
        case ["editable", folder, *folders]:  # by `setup`, with the Python that has the build tool
            build(map(Path, folders), Path(folder), editable=True)
        case ["size"]:
            size()
        case _:
            sys.exit(__doc__)


def distributions() -> dict[str, Path]:
    """Return the folder of each distribution in this repository, by name."""
    files = sorted(ROOT.glob("*/pyproject.toml")) + sorted(ROOT.glob("plugins/*/*/pyproject.toml"))
    return {tomllib.loads(file.read_text("utf-8"))["project"]["name"]: file.parent for file in files}


def large() -> dict[Path, str]:
    """Return the distributions that need a package too large for every set-up, each with that package.

    They are installed without what they need: their tests that need it are skipped.
    """
    tables = {
        folder: tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]
        for folder in distributions().values()
    }
    return {folder: str(tool["workspace"]["large"]) for folder, tool in tables.items() if "workspace" in tool}


def foreign_needs(folder: Path) -> list[str]:
    """Return what a distribution needs from elsewhere."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return [line for line in project["dependencies"] if not line.startswith("aisb")]


def needed_by(name: str) -> list[Path]:
    """Return the folders of a distribution and of all distributions of this repository that it needs."""
    known, wanted, found = distributions(), [name], {}
    while wanted:
        one = wanted.pop()
        if one in known and one not in found:
            found[one] = known[one]
            project = tomllib.loads((known[one] / "pyproject.toml").read_text("utf-8"))["project"]
            wanted += [re.split(r"[^\w.-]", line)[0] for line in project.get("dependencies", [])]
    return sorted(found.values())


def setup(profile: str) -> None:
    """Install what a profile needs into .venv; do nothing if it is there."""
    folders = list(distributions().values()) if profile == "test" else needed_by("aisb")
    key, stamp = fingerprint(profile, folders), VENV / f".ready-{profile}"
    if PYTHON.exists() and stamp.is_file() and stamp.read_text("utf-8") == key:
        return
    began = time.monotonic()
    for old in VENV.glob(".ready-*"):
        old.unlink()
    make_venv()
    installed = [path.name.split("-")[0] for path in VENV.glob("lib/*/site-packages/aisb*.dist-info")]
    if installed:  # pip passes over a wheel whose version is there already, though its metadata has changed
        pip("taking out the older installation", "uninstall", "--yes", *installed)
    compiler = ["mypy"] if profile == "test" else []  # whose mypyc compiles aisb-speedups
    pip("getting the build tools", "install", "hatchling", "editables", "setuptools", *compiler)
    with tempfile.TemporaryDirectory() as wheels:
        checked([PYTHON, __file__, "editable", wheels, *folders], "building")
        requirements: list[str | Path] = [word for file in PROFILES[profile] for word in ("-r", file)]
        constraints: list[str | Path] = ["-c", CONSTRAINTS] if CONSTRAINTS.exists() else []
        what = f"installing {len(folders)} distributions and what they need"
        names = {name.replace("-", "_") for name, folder in distributions().items() if folder in large()}
        built = sorted(Path(wheels).glob("*.whl"))
        alone = [wheel for wheel in built if wheel.name.split("-")[0] in names]
        full = [wheel for wheel in built if wheel not in alone]
        pip(what, "install", "--no-compile", *full, *requirements, *constraints)
        if alone:
            pip(
                "installing the others without what they need", "install", "--no-deps", "--no-compile", *alone
            )
    stamp.write_text(key, "utf-8")
    if profile == "test":  # which holds all that the demo needs
        (VENV / ".ready-demo").write_text(fingerprint("demo", needed_by("aisb")), "utf-8")
    say(f"ready after {time.monotonic() - began:.0f} s")


def heavy() -> dict[str, str]:
    """Return the distributions that bring gigabytes or a cluster, by the short name that `install` takes."""
    known, too_large = distributions(), large()
    needs = {name: {re.split(r"[^\w.-]", line)[0] for line in foreign_needs(known[name])} for name in known}
    found = [name for name in known if known[name] in too_large or needs[name] & HEAVY]
    return {name.split("-", 2)[2]: name for name in found}


def install(names: Sequence[str]) -> None:
    """Install all distributions but the heavy ones, and those that are named, into a virtual environment."""
    if sys.prefix == sys.base_prefix:
        sys.exit(
            "this Python is not in a virtual environment, and aisb is installed into one:\n"
            "  python3 -m venv venv && . venv/bin/activate && make install\n"
            "  or name the Python of another one: make install PYTHON=FOLDER/bin/python"
        )
    known, extra = distributions(), heavy()
    if unknown := set(names) - set(extra):
        sys.exit(f"WITH takes {', '.join(sorted(extra))}, not {', '.join(sorted(unknown))}")
    left_out = {name for short, name in extra.items() if short not in names}
    began = time.monotonic()
    wanted = [folder for name, folder in known.items() if name not in left_out]
    with tempfile.TemporaryDirectory() as scratch:
        # One environment builds all wheels: pip would make one for each.
        builder, wheels = Path(scratch, "venv"), Path(scratch, "wheels")
        checked([sys.executable, "-m", "venv", builder], "making an environment for the build")
        python = builder / "bin/python"
        pip("getting the build tools", "install", "hatchling", "setuptools", "mypy", python=python)
        checked([python, __file__, "built", wheels, *wanted], "building")
        what = f"installing {len(wanted)} distributions and what they need"
        files = [f"{file}[all]" if file.name.startswith("aisb-") else file for file in wheels.glob("*.whl")]
        pip(what, "install", *files, python=Path(sys.executable))
    say(f"ready after {time.monotonic() - began:.0f} s: try aisb run --models sim --datasets demo_gsm8k")
    if left_out:
        short = sorted(short for short, name in extra.items() if name in left_out)
        say(f"left out, because they are large: {', '.join(short)}; add some: make install WITH='{short[0]}'")


def fingerprint(profile: str, folders: Iterable[Path]) -> str:
    """Return a hash over all that decides what is installed; the place, too: a moved .venv does not work."""
    files = [*(folder / "pyproject.toml" for folder in folders), *PROFILES[profile], CONSTRAINTS]
    files += [file for folder in folders for file in sorted(folder.glob("*.py"))]
    files += sorted((ROOT / "engine/aisb_engine/_stream").glob("*.py"))  # compiled into aisb-speedups
    parts = [str(VENV).encode(), *(file.read_bytes() for file in files if file.exists())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make_venv() -> None:
    """Create .venv, unless there is one that works."""
    if PYTHON.exists():
        works: list[str | Path] = [PYTHON, "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(works, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"making .venv with Python {version}")
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        remedy = f"install it (apt install {package}), or name another Python: make PYTHON=…"
        sys.exit(f"{sys.executable} cannot make a virtual environment, for it lacks ensurepip: {remedy}")
    checked([sys.executable, "-m", "venv", "--clear", VENV], "making .venv")


def pip(what: str, command: str, *words: str | Path, python: Path = PYTHON) -> None:
    """Run pip in silence; show all it said when it fails."""
    say(what)
    quiet = ["--disable-pip-version-check", "--no-input"]
    if command == "install":
        quiet += ["--no-warn-script-location"]
    checked([python, "-m", "pip", command, *quiet, *words], what)


def checked(command: Sequence[str | Path], what: str) -> None:
    """Run a command in silence; when it fails, show all it said and end."""
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        sys.stderr.write(ended.stdout)
        sys.exit(f"{what} failed; what it said stands above")


def say(line: str) -> None:
    """Print one short line: a step that begins, or what one has made."""
    print(f"  {line}", flush=True)


def build(folders: Iterable[Path], target: Path, *, editable: bool) -> None:
    """Build a wheel of each folder, in one process: starting one for each takes longer than building."""
    from hatchling import build as backend

    target.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        os.chdir(folder)
        name = backend.build_editable(str(target)) if editable else backend.build_wheel(str(target))
        if not editable:
            say(name)


def size() -> None:
    """Install aisb into a fresh environment; fail when it is too heavy or brings what nobody asked for."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, "venv")
        checked([sys.executable, "-m", "venv", fresh], "making an environment")
        empty = dict(weigh(fresh))
        on_disk = sum(dict(weigh(fresh, compiled=True)).values())
        wheels = Path(folder, "wheels")
        checked([sys.executable, __file__, "wheels", wheels], "building the wheels")
        pip(
            "installing aisb into a fresh environment",
            "install",
            "--find-links",
            wheels,
            "aisb",
            python=fresh / "bin/python",
        )
        full = dict(weigh(fresh))
        on_disk = sum(dict(weigh(fresh, compiled=True)).values()) - on_disk
    brought = {name: size - empty.get(name, 0) for name, size in full.items() if size > empty.get(name, 0)}
    for name, weight in sorted(brought.items(), key=lambda item: -item[1])[:8]:
        print(f"{weight / 1e6:8.1f} MB  {name}")
    total = sum(brought.values()) / 1e6
    print(f"{total:8.1f} MB  unpacked, beyond an empty environment (limit: {MOST_MEGABYTES})")
    print(f"{on_disk / 1e6:8.1f} MB  with the modules that pip compiles at once")
    if came := UNWANTED & brought.keys():
        sys.exit(
            f"aisb brings {', '.join(sorted(came))}: a dependency of its own distribution must not need it"
        )
    if total > MOST_MEGABYTES:
        sys.exit(f"aisb brings {total:.0f} MB, more than {MOST_MEGABYTES}")


def weigh(environment: Path, *, compiled: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the bytes of each entry of site-packages, as unpacked or with what was compiled from it."""
    for entry in environment.glob("lib/python*/site-packages/*"):
        files = [file for file in (entry.rglob("*") if entry.is_dir() else [entry]) if file.is_file()]
        yield entry.name, sum(file.stat().st_size for file in files if compiled or file.suffix != ".pyc")


if __name__ == "__main__":
    main(sys.argv[1:])
