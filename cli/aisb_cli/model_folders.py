"""Models in folders of this machine, as `aisb run --models FOLDER` names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from aisb import UsageError
from aisb_engine import safe_name

CHAT_MODEL, BASE_MODEL, VISION_MODEL = "hf_chat_model", "hf_base_model", "hf_qwenvl_model"
TEMPLATES = ("chat_template.jinja", "chat_template.json")


def is_folder(word: str) -> bool:
    """Return whether a word names a folder, and not the address of a service."""
    return "://" not in word and Path(word).expanduser().is_dir()


def name_of_folder(word: str) -> str:
    """Return the name of the model in a folder that is given without a name: that of the folder.

    Raises:
        UsageError: there is no such folder.
    """
    if not is_folder(word):
        raise UsageError(
            f"--models {word}: there is no such folder; name the folder of a model on this machine, or the "
            "address of a service as NAME=URL"
        )
    return safe_name(Path(word).expanduser().resolve().name)


def folder_table(word: str, name: str) -> dict[str, Any]:
    """Return the table of the model in a folder, for a column with this name, and say what it is.

    Raises:
        UsageError: the folder holds no model of Hugging Face Transformers.
    """
    folder = Path(word).expanduser()
    file, kind = _file_for(folder)
    click.echo(f"{word} holds {kind}; running it with {file}", err=True)
    return {"base": file, "abbr": name, "path": str(folder.resolve())}


def _file_for(folder: Path) -> tuple[str, str]:
    """Return the model file for the model in a folder, and its kind in words."""
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"--models {folder}: it has no config.json, so it is not the folder of a model\n"
            f"  a .gguf file in it: --models {CHAT_MODEL} --set model.path=FILE"
        )
    if "vision_config" in _read(folder / "config.json"):
        return VISION_MODEL, "a vision-language model"
    has_template = any((folder / name).is_file() for name in TEMPLATES)
    if has_template or _read(folder / "tokenizer_config.json").get("chat_template"):
        return CHAT_MODEL, "a chat model"
    return BASE_MODEL, "a base model (its tokenizer has no chat template)"


def _read(path: Path) -> dict[str, Any]:
    """Return an object in a JSON file; an empty one if there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
