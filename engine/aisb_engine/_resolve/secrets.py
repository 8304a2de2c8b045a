"""Keep secrets out of configurations, of which every run saves a copy, and refuse masked values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aisb._errors import ConfigError
from aisb_engine._masking import MASK, mask_headers, mask_url
from aisb_engine._resolve.tables import as_key
from aisb_engine._spec import RunSpec

SECRETS = ("api_key", "apikey", "token", "secret", "password")


def refuse_secrets(table: Mapping[str, Any], where: str) -> None:
    """Refuse an API key in a configuration: it would be copied to every run folder."""
    options = table.get("options", {})
    for name in options:
        if name.lower() in SECRETS:
            raise ConfigError(
                f"{where}.{name}",
                "an API key does not belong in a configuration, which every run copies; "
                "use api_key_env (a variable's name) or api_key_file (a file's path)",
            )


def mask_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's options for a run folder: values of headers and secrets in the URL are masked.

    Headers in `plain_headers` keep their values.
    """
    masked = dict(options)
    if isinstance(options.get("url"), str):
        masked["url"] = mask_url(options["url"])
    if isinstance(options.get("headers"), Mapping):
        masked["headers"] = mask_headers(options["headers"], options.get("plain_headers", ()))
    return masked


def refuse_masked(options: Mapping[str, Any], where: str) -> None:
    """Refuse a value that was masked when the configuration of a run was saved."""
    for name in masked_keys(options):
        raise ConfigError(
            f"{where}.{name}",
            "this was a secret, which a run folder does not keep; give it again, as in "
            f"--set {'judge' if where == 'judge' else 'model'}.{name}=…, or use api_key_env or headers_env; "
            "headers that are not secret can be listed in plain_headers",
        )


def masked_keys(options: Mapping[str, Any]) -> list[str]:
    """Return the keys of a model's options whose values were masked."""
    headers = options.get("headers") or {}
    found = [f"headers.{as_key(name)}" for name, value in headers.items() if value == MASK]
    url = str(options.get("url", ""))
    return [*found, "url"] if f"//{MASK}@" in url or f"={MASK}" in url else found


def secret_settings_of(spec: RunSpec) -> list[str]:
    """Return the paths of the settings that a run folder does not keep, in the form of `--set`."""
    tables = {
        "model" if len(spec.models) == 1 else f"models.{as_key(model.name)}": model.options
        for model in spec.models.values()
    }
    if spec.judge:
        tables["judge"] = spec.judge.model.options
    return [f"{root}.{key}" for root, options in tables.items() for key in masked_keys(mask_options(options))]
