"""Compile what every streamed chunk passes into the wheel, where a C compiler is at hand.

Without one the wheel holds no module, and the engine uses its own plain form, which does the same at a higher
cost.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "aisb_speedups._compiled"
SOURCE = "aisb_speedups/_compiled.c"


class CompileHook(BuildHookInterface):
    """Builds the one module that is written in C."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the module where this kind of wheel has it: beside its source, or inside."""
        if self.target_name != "wheel":
            return
        self.scratch = tempfile.mkdtemp()
        built = self.compiled()
        if built is None:
            self.app.display_warning(f"{SOURCE} could not be compiled: aisb will use more of the processor")
            return
        if version == "editable":
            # In one step: whoever runs with the old one keeps it.
            beside = Path(self.root, SOURCE).with_name(built.name)
            shutil.copy2(built, f"{beside}.new")
            Path(f"{beside}.new").replace(beside)
            return
        build_data["force_include"][str(built)] = str(Path(SOURCE).with_name(built.name))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clean up."""
        del version, build_data, artifact_path
        shutil.rmtree(getattr(self, "scratch", ""), ignore_errors=True)

    def compiled(self) -> Path | None:
        """Return the file of the compiled module; None where it cannot be made."""
        from setuptools import Distribution, Extension

        posix = {"extra_compile_args": ["-O2", "-g0"]} if os.name == "posix" else {}
        module = Extension(MODULE, [SOURCE], optional=True, **posix)
        command = Distribution({"name": "aisb-speedups", "ext_modules": [module]}).get_command_obj(
            "build_ext"
        )
        command.build_lib = command.build_temp = self.scratch
        command.ensure_finalized()
        command.run()
        built = Path(command.get_ext_fullpath(MODULE))
        return built if built.is_file() else None
