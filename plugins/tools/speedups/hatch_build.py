"""Compile the engine's stream reader into the wheel with mypyc, where a C compiler is at hand.

The sources are the engine's own files: there is no second copy of them. Without a compiler the wheel holds no
module, and the engine uses the plain reader, which does the same at a higher cost.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "aisb_speedups"
FILES = (
    "reader.py",
    "state.py",
    "columns.py",
    "framing.py",
    "inbox.py",
    "kind.py",
    "known.py",
    "lines.py",
    "matching.py",
)
IN_CHECKOUT = "../../../engine/aisb_engine/_stream"
IN_SDIST = "source"


class CompileHook(BuildHookInterface):
    """Builds the compiled reader."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the modules where this kind of wheel has them: next to the package, or inside."""
        folder = Path(self.root, IN_CHECKOUT)
        if not folder.is_dir():
            folder = Path(self.root, IN_SDIST)
        sources = [folder / name for name in FILES]
        if self.target_name == "sdist":
            for source in sources:
                build_data["force_include"][str(source)] = f"{IN_SDIST}/{source.name}"
        if self.target_name != "wheel":
            return
        self.scratch = Path(tempfile.mkdtemp())
        built = self.compiled(sources)
        if not built:
            self.app.display_warning("the reader could not be compiled: aisb will use more of the processor")
            return
        for file in built:
            if version == "editable":
                # In one step: whoever runs with the old one keeps it.
                beside = Path(self.root, PACKAGE, file.name)
                shutil.copy2(file, f"{beside}.new")
                Path(f"{beside}.new").replace(beside)
            else:
                build_data["force_include"][str(file)] = f"{PACKAGE}/{file.name}"
                build_data["pure_python"] = False
                build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up."""
        del version, build_data, artifact_path
        shutil.rmtree(getattr(self, "scratch", ""), ignore_errors=True)

    def compiled(self, sources: list[Path]) -> list[Path]:
        """Return the files of the compiled reader; none where they cannot be made."""
        from mypyc.build import mypycify
        from setuptools import Distribution

        package = self.scratch / PACKAGE
        package.mkdir()
        (package / "__init__.py").touch()
        for source in sources:
            shutil.copy2(source, package)
        before = Path.cwd()
        os.chdir(self.scratch)  # mypyc names a module by its path from here
        try:
            # Types of other modules are not followed: what is built does not depend on what is installed.
            options = ["--ignore-missing-imports", "--follow-imports=skip"]
            paths = [f"{PACKAGE}/{source.name}" for source in sources]
            group = f"{PACKAGE}.stream"  # how their common module is named
            modules = mypycify([*options, *paths], target_dir=str(self.scratch / "c"), group_name=group)
            for module in modules:
                module.extra_compile_args = [a for a in module.extra_compile_args if a != "-Werror"]
            command = Distribution({"name": "aisb-speedups", "ext_modules": modules}).get_command_obj(
                "build_ext"
            )
            command.build_lib = command.build_temp = str(self.scratch / "built")
            command.ensure_finalized()
            command.run()
        except Exception as error:  # noqa: BLE001 - no compiler, no headers, or a compiler that fails
            self.app.display_info(f"mypyc: {error}")
            return []
        finally:
            os.chdir(before)
        record = self.scratch / "_source.py"
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
        record.write_text(f'"""Which sources the reader was compiled from."""\n\nSHA256 = "{digest}"\n')
        built = sorted((self.scratch / "built" / PACKAGE).iterdir())
        return [*built, record] if built else []
