"""Keys of other tools in a model's table that have another place or meaning here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aisb import EndpointPath
from aisb._errors import ConfigError
from aisb._options import options as options_of

MOVED_KEYS = {
    "host_ip": 'url = "http://HOST:PORT" says where a service is',
    "host_port": 'url = "http://HOST:PORT" says where a service is',
    "enable_ssl": 'url = "https://HOST:PORT" says how a service is reached',
    "retry": "write load = { retries = N }",
    "request_rate": "write load = { request_rate = R }, or --request-rate R",
    "use_timestamp": "write load = { use_timestamp = true }, or --use-timestamp",
    "traffic_cfg": 'write load = { arrival = "gamma", burstiness = B } or { ramp_up = "linear:A:B" }',
    "type": "write backend = NAME; aisb plugins list shows them",
    "attr": "omit it: the backend determines whether a model is local",
    "model_name": "write model = NAME",
    "pred_postprocessor": "omit it: reasoning is never graded; a task's postprocess extracts answers",
    "meta_template": "write system = TEXT; a service uses its own chat template",
    "max_seq_len": "omit it: a service knows its context window",
    "trust_remote_code": "omit it: it is for local models",
    "verbose": "use --debug",
    "response_anomaly": "omit it: there is no search for anomalies of replies",
}
"""Keys of other tools, and what to write instead."""
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "config.json")


def refuse_moved(options: Mapping[str, Any], factory: Callable[..., Any], where: str) -> None:
    """Refuse an option of another tool that the backend does not have, and a tokenizer's folder as `path`.

    Raises:
        ConfigError: the message tells what to write instead.
    """
    known = {option.name for option in options_of(factory)}
    for name in options:
        if name in MOVED_KEYS and name not in known:
            raise ConfigError(f"{where}.options.{name}", f"there is no such option: {MOVED_KEYS[name]}")
    path = options.get("path")
    is_service = isinstance(factory, type) and issubclass(factory, EndpointPath)
    if is_service and isinstance(path, str) and path and _holds_tokenizer(path):
        raise ConfigError(
            f"{where}.options.path",
            f"{path} is a model's folder, but path is that of the service's endpoint; write "
            "tokenizer = FOLDER, which counts tokens if the service does not",
        )


def _holds_tokenizer(path: str) -> bool:
    return any((Path(path).expanduser() / name).is_file() for name in TOKENIZER_FILES)
