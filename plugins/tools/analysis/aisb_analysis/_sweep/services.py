"""Several services as curves: `--models a=URL b=URL` among the options of `aisb run`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from aisb import UsageError

NAMED_URL = re.compile(r"(?P<name>[^=/:,\s]+)=(?P<url>https?://\S+)")
BACKEND = "vllm-chat"
"""The backend of an unknown name."""


def take_services(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Split NAME=URL: return the words with names only, and the addresses by name.

    Raises:
        UsageError: a name has two addresses, or `--url` is given, too.
    """
    kept: list[str] = []
    services: dict[str, str] = {}
    is_model = False
    for word in words:
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            is_model = flag == "--models" and not equals
            if flag == "--models" and equals:
                kept += ["--models", *_names([value], services)]
                continue
        kept += _names([word], services) if is_model and not word.startswith("-") else [word]
    if services and any(word == "--url" or word.startswith("--url=") for word in words):
        raise UsageError("--url and --models NAME=URL are both given: name the address of each model once")
    return kept, services


def _names(words: Iterable[str], services: dict[str, str]) -> list[str]:
    names = []
    for word in (part for text in words for part in text.split(",") if part):
        found = NAMED_URL.fullmatch(word)
        if found is None:
            names.append(word)
            continue
        name, url = found["name"], found["url"]
        if services.setdefault(name, url) != url:
            raise UsageError(f"--models {name} has two addresses, {services[name]} and {url}")
        names.append(name)
    return names


def service_tables(services: dict[str, str], known: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a model table for each service; an unknown name becomes a `vllm-chat` model with that name."""
    names = set(known)
    return {
        name: {"url": url} if name in names else {"base": BACKEND, "url": url}
        for name, url in services.items()
    }
