"""Mask keys in everything that a capsule contains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aisb_engine import connect_backend, mask_secrets

if TYPE_CHECKING:
    from aisb_engine import Plugins, RunSpec

MASK = "***"
SHORTEST = 8
_NAMED_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
# Keys of OpenAI, Hugging Face, GitHub, GitLab, Slack, AWS, Google and NVIDIA.
_KEY_FORMATS = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|xox[abprs]-[A-Za-z0-9-]{20,}|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}"
    r"|nvapi-[A-Za-z0-9_-]{40,})"
)
_BEARER = re.compile(r"(\bBearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}", re.IGNORECASE)
"""A token in a header. Without a digit it is a word or a placeholder."""


class Masker:
    """Masks the keys of a run's services, keys in the environment, and keys of known formats.

    Without `spec`, the keys of services are not known. `count` is the number of changed texts.
    """

    def __init__(self, spec: RunSpec | None, plugins: Plugins) -> None:
        texts = set(_in_environment())
        models = (*spec.models.values(), *([spec.judge.model] if spec.judge else ())) if spec else ()
        for model in models:
            with suppress(Exception):  # a key that is not set cannot be in the run
                backend = connect_backend(
                    plugins.make("backend", model.backend, model.options, where=f"models.{model.name}")
                )
                texts |= set(_of_backend(backend))
        forms = {
            form
            for text in texts
            if len(text) >= SHORTEST
            for form in (text, quote(text, safe=""), json.dumps(text)[1:-1])
        }
        self._known = sorted(forms, key=len, reverse=True)
        self.count = 0

    def data(self, text: str) -> str:
        """Mask the keys in an answer or a prompt; change nothing else."""
        masked = text
        for secret in self._known:
            masked = masked.replace(secret, MASK)
        masked = _BEARER.sub(rf"\g<1>{MASK}", _KEY_FORMATS.sub(MASK, masked))
        return self._counted(text, masked)

    def words(self, text: str) -> str:
        """Mask keys, tokens after `Bearer`, and passwords in URLs in a message or a setting."""
        return self._counted(text, mask_secrets(self.data(text)))

    def _counted(self, before: str, after: str) -> str:
        self.count += before != after
        return after

    def inside(self, value: Any, mask: Callable[[str], str] | None = None) -> Any:
        """Mask all texts in nested plain data, including keys of tables."""
        mask = mask or self.data
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, dict):
            return {mask(key): self.inside(below, mask) for key, below in value.items()}
        if isinstance(value, list | tuple):
            return [self.inside(below, mask) for below in value]
        return value


def _in_environment() -> Iterator[str]:
    """Yield the values of environment variables that look like keys by name and value."""
    for name, value in os.environ.items():
        is_word = value.isalpha() and (value.islower() or value.isupper()) and len(value) < 16
        if _NAMED_SECRET.search(name) and not value.startswith(("/", "~")) and not is_word:
            yield value


def _of_backend(backend: Any) -> Iterator[str]:
    """Yield the keys that a backend sends."""
    with suppress(Exception):
        yield backend.api_key() or ""
    with suppress(Exception):
        for value in backend.auth_headers().values():
            yield value.rpartition(" ")[2]
    for variable in getattr(backend, "headers_env", {}).values():
        yield os.environ.get(variable, "")
