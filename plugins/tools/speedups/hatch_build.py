"""Compile the engine's stream reader into the wheel with mypyc, where a C compiler is at hand.

The source is the engine's own file: there is no second copy of it. Without a compiler the wheel holds no
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
MODULE = "_reader"
IN_CHECKOUT = "../../../engine/aisb_engine/_stream/reader.py"
IN_SDIST = "source/reader.py"


class CompileHook(BuildHookInterface):
    """Builds the compiled reader."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the modules where this kind of wheel has them: beside the package, or inside."""
        source = Path(self.root, IN_CHECKOUT)
        if not source.is_file():
            source = Path(self.root, IN_SDIST)
        if self.target_name == "sdist":
            build_data["force_include"][str(source)] = IN_SDIST
        if self.target_name != "wheel":
            return
        self.scratch = Path(tempfile.mkdtemp())
        built = self.compiled(source)
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

    def compiled(self, source: Path) -> list[Path]:
        """Return the files of the compiled reader; none where they cannot be made."""
        from mypyc.build import mypycify
        from setuptools import Distribution

        package = self.scratch / PACKAGE
        package.mkdir()
        (package / "__init__.py").touch()
        shutil.copy2(source, package / f"{MODULE}.py")
        before = Path.cwd()
        os.chdir(self.scratch)  # mypyc names a module by its path from here
        try:
            # Types of other modules are not followed: what is built does not depend on what is installed.
            options = ["--ignore-missing-imports", "--follow-imports=skip", f"{PACKAGE}/{MODULE}.py"]
            modules = mypycify(options, target_dir=str(self.scratch / "c"))
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
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        record.write_text(f'"""Which source the reader was compiled from."""\n\nSHA256 = "{digest}"\n')
        built = sorted((self.scratch / "built" / PACKAGE).glob(f"{MODULE}*"))
        return [*built, record] if built else []
