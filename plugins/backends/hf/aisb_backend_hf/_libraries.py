"""Import torch and transformers, and explain why an import fails."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from aisb import PluginError

INSTALL = "pip install aisb-backend-hf"


def need(library: str, *, why: str, install: str = INSTALL) -> Any:
    """Import a library.

    Raises:
        PluginError: it is not installed or cannot be imported; the message says what to install.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        missing = error.name or library
        raise PluginError(f"{why} needs {missing}, which is not installed: {install}") from error
    except Exception as error:
        raise PluginError(explained(library, error)) from error


def explained(library: str, error: BaseException) -> str:
    """Explain a failed import, early or late: mostly two libraries with incompatible versions."""
    words = " ".join(str(error).split())[:300]
    if "register_fake" in words or "torchvision::nms" in words:
        return (
            f"torchvision does not fit the installed torch{_versions()} ({words}): it is built for another "
            "one\n  install the torchvision of this torch, or uninstall it, since it is optional: "
            "pip uninstall torchvision"
        )
    return f"{library} cannot be imported{_versions()}: {type(error).__name__}: {words}"


def _versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("torch", "torchvision", "transformers"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f" ({', '.join(found)})" if found else ""
