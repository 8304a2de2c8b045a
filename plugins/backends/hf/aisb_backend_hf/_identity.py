"""What distinguishes a loaded model from others of its name: revision of the weights, chat template."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SNAPSHOT = re.compile(r"/snapshots/([0-9a-f]{40})(?:/|$)")


def model_identity(model: Any, tokenizer: Any, path: Path) -> dict[str, Any]:
    """Return the revision from the hub's cache or the configuration, and hashes of files."""
    import transformers

    said = getattr(getattr(model, "config", None), "_commit_hash", None)
    place = _SNAPSHOT.search(str(path.resolve()))
    config = path / "config.json"
    found = {
        "server": "transformers",
        "server_version": transformers.__version__,
        "revision": said or (place[1] if place else None),
        "config_sha256": _hash(config.read_bytes()) if config.is_file() else None,
        "chat_template_sha256": _template_hash(getattr(tokenizer, "chat_template", None)),
    }
    return {key: value for key, value in found.items() if value}


def _template_hash(template: Any) -> str | None:
    if isinstance(template, Mapping):
        template = "\0".join(f"{name}\0{text}" for name, text in sorted(template.items()))
    return _hash(template.encode("utf-8", "replace")) if isinstance(template, str) and template else None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
