"""What may not stand in a configuration, which every run keeps a copy of: keys, and what was masked there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb._errors import ConfigError
from aisb_engine._masking import MASK, mask_headers, mask_url
from aisb_engine._spec import RunSpec

SECRETS = ("api_key", "apikey", "token", "secret", "password")


def refuse_secrets(table: Mapping[str, Any], where: str) -> None:
    """Refuse a key written into a configuration: it would be copied into every run folder."""
    options = table.get("options", {})
    for name in options:
        if name.lower() in SECRETS:
            raise ConfigError(
                f"{where}.{name}",
                "a key does not belong in a configuration, which every run keeps a copy of; "
                "use api_key_env (a variable's name) or api_key_file (a file's path)",
            )


def mask_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's options as a run folder may keep them: no values of headers, no secrets in the URL.

    Headers that `plain_headers` lists keep their values.
    """
    masked = dict(options)
    if isinstance(options.get("url"), str):
        masked["url"] = mask_url(options["url"])
    if isinstance(options.get("headers"), Mapping):
        masked["headers"] = mask_headers(options["headers"], options.get("plain_headers", ()))
    return masked


def refuse_masked(options: Mapping[str, Any], where: str) -> None:
    """Refuse a value that was masked when a run kept its configuration."""
    for name in masked_keys(options):
        raise ConfigError(
            f"{where}.{name}",
            "this was a secret, which a run folder does not keep; give it again, as in "
            f"--set {'judge' if where == 'judge' else 'model'}.{name}=…, or use api_key_env or headers_env; "
            "headers that are no secrets can be listed in plain_headers",
        )


def masked_keys(options: Mapping[str, Any]) -> list[str]:
    """Return the keys of a model's options whose values were masked."""
    headers = options.get("headers") or {}
    found = [f"headers.{name}" for name, value in headers.items() if value == MASK]
    url = str(options.get("url", ""))
    return [*found, "url"] if f"//{MASK}@" in url or f"={MASK}" in url else found


def keys_to_give_again(spec: RunSpec) -> list[str]:
    """Return the paths of the settings that a run folder does not keep, as `--set` takes them."""
    tables = {
        "model" if len(spec.models) == 1 else f"models.{model.name}": model.options
        for model in spec.models.values()
    }
    if spec.judge:
        tables["judge"] = spec.judge.model.options
    return [f"{root}.{key}" for root, options in tables.items() for key in masked_keys(mask_options(options))]
