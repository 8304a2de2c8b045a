"""Check which distribution imports which: `make lint` runs it, with import-linter.

Packages are found by their pyproject.toml, never listed. Imports inside functions and for types alone count.
"""
# ruff: noqa: INP001, S603, T201 - a program of the repository, which starts a linter

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTHING_OF_OURS = {"aisb_speedups"}
"""Packages that import nothing of this repository; the engine imports them where they are installed."""


def packages() -> dict[str, Path]:
    """Return the folder of each package that a distribution of this repository ships."""
    files = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/*/pyproject.toml")]
    wheels = [(file.parent, tomllib.loads(file.read_text("utf-8"))) for file in sorted(files)]
    return {
        package: folder
        for folder, project in wheels
        for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    }


def declared(folder: Path, known: dict[str, str]) -> set[str]:
    """Return the packages of this repository that a distribution declares, its own included."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project.get("dependencies", ())]
    lines += [line for more in project.get("optional-dependencies", {}).values() for line in more]
    names = {line.split(">=")[0].split("[")[0].strip() for line in lines} | {project["name"]}
    return {known[name] for name in names if name in known}


def contracts() -> Iterator[str]:
    """Yield the contracts, in the form that import-linter reads."""
    found = packages()
    names = {
        tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]: package
        for package, folder in found.items()
    }
    yield _table("importlinter", {"root_packages": sorted(found), "exclude_type_checking_imports": "False"})
    yield _contract(
        "private",
        "Modules whose name begins with an underscore are imported by their own distribution alone",
        "private_modules",
        # The engine is the other half of the contract: it makes and drives what plugins declare.
        ignore_imports=[
            "aisb_engine.** -> aisb.**",
            "aisb_engine -> aisb.**",
            "aisb_engine.** -> aisb_speedups.**",
        ],
        unmatched_ignore_imports_alerting="none",
    )
    yield _contract(
        "engine-cycles",
        "The engine's packages do not lean on each other in a circle",
        "acyclic_siblings",
        ancestors=["aisb_engine"],
        depth="0",
    )
    yield _contract(
        "inference-scoring",
        "Inference and scoring do not import each other, nor anything that imports the other",
        "independence",
        modules=["aisb_engine._load", "aisb_engine._scoring"],
    )
    for package, folder in found.items():
        allowed = declared(folder, names) | {package}
        if package == "aisb_engine":
            allowed |= NOTHING_OF_OURS
        if forbidden := sorted(set(found) - allowed):
            yield _contract(
                package,
                f"{package} imports no more of this repository than its distribution declares",
                "forbidden",
                source_modules=[package],
                forbidden_modules=forbidden,
                allow_indirect_imports="True",
            )


def _contract(key: str, name: str, kind: str, **options: list[str] | str) -> str:
    return _table(f"importlinter:contract:{key}", {"name": name, "type": kind, **options})


def _table(head: str, options: dict[str, list[str] | str]) -> str:
    lines = [f"[{head}]"]
    for key, value in options.items():
        text = value if isinstance(value, str) else "".join(f"\n    {line}" for line in value)
        lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the contracts into a file, and let import-linter check them."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "contracts.ini")
        config.write_text("\n".join(contracts()), "utf-8")
        words = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(config), "--no-cache"]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    if ended.returncode:
        print(ended.stdout + ended.stderr)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
