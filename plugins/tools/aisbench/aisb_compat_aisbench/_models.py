"""Map a model of a config file to a model table: each key is mapped, ignored or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aisb import ConfigError
from aisb_compat_aisbench._known import known_models
from aisb_compat_aisbench._values import Opaque, Symbol
from aisb_engine import safe_name

NO_LIMIT = 604_800.0
"""A week in seconds: the reference waits for a reply without limit."""
TIMEOUTS = {"first_byte": NO_LIMIT, "between_bytes": NO_LIMIT, "total": NO_LIMIT}
PORT = 8080
LONGEST_REPLY = 2048
"""The default of `max_out_len` in the reference's classes."""
RETRIES = 2
UNSUPPORTED_MODELS = {
    "sample_kwargs": "parameters of vLLM within the process; in aisb they are keys of generation_kwargs",
}
IGNORED_MODEL_KEYS = {
    "verbose": "--debug shows log lines",
    "rpm_verbose": "--debug shows log lines",
    "run_cfg": "aisb does not start services",
    "tokenizer_only": "it applies to local models",
    "max_seq_len": "the service knows its context length",
    "summarizer_abbr": "`abbr` names the column",
}
"""Keys of services that have no effect, with the reason."""


@dataclass(slots=True)
class MappedModel:
    """A model's table, its tokenizer's folder, its API key, and notes for the user."""

    name: str
    table: dict[str, Any]
    secret: str | None = None
    tokenizer: str | None = None
    notes: list[str] = field(default_factory=list)


def map_model(config: Mapping[str, Any], where: str) -> MappedModel:
    """Map a model of a config file; `where` names it in errors.

    Raises:
        ConfigError: it has no backend in aisb, or a key that affects results and cannot be mapped.
    """
    kind = _class_name(config.get("type"), where)
    tables = known_models()
    if kind in tables["missing"]:
        raise ConfigError(f"{where}.type", f"{kind}: {tables['missing'][kind]}")
    if kind not in tables["backends"]:
        known = ", ".join(sorted(tables["backends"]))
        raise ConfigError(f"{where}.type", f"{kind} has no backend in aisb; known: {known}")
    backend = tables["backends"][kind]
    abbr = config.get("abbr")
    if not isinstance(abbr, str) or not abbr:
        raise ConfigError(f"{where}.abbr", "must be a name")
    mapped = MappedModel(safe_name(abbr), {"backend": backend, "abbr": safe_name(abbr)})
    local = config.get("attr") == "local" or backend.startswith("hf-")
    keys = {**SHARED_KEYS, **(LOCAL_KEYS if local else SERVICE_KEYS)}
    if backend == SEEING:
        keys |= SEEING_KEYS
    for key, value in config.items():
        if key in ("attr", "type", "abbr") or key in ADDRESS:
            continue
        if key in UNSUPPORTED_MODELS:
            raise ConfigError(f"{where}.{key}", UNSUPPORTED_MODELS[key])
        if key in keys:
            keys[key](mapped, value, f"{where}.{key}")
        elif key in IGNORED_MODEL_KEYS and not local:
            mapped.notes.append(f"{where}.{key}: ignored: {IGNORED_MODEL_KEYS[key]}")
        else:
            raise ConfigError(f"{where}.{key}", "is not a known key of AISBench's model configs")
    if not local:
        _complete_service(mapped, config, kind)
    return mapped


def _complete_service(mapped: MappedModel, config: Mapping[str, Any], kind: str) -> None:
    """Add the defaults of the reference's classes."""
    table = mapped.table
    options = table.setdefault("options", {})
    options["url"] = _url(config)
    if table["backend"] == "triton":
        table["backend"] = "triton-stream" if options.pop("stream", kind.endswith("Stream")) else "triton"
    elif table["backend"] == "mindie-stream":
        options.pop("stream", None)
    else:
        options.setdefault("stream", kind.endswith("Stream"))
    load = table.setdefault("load", {})
    load.setdefault("concurrency", 1)
    load.setdefault("retries", RETRIES)
    load["timeouts"] = dict(TIMEOUTS)
    table.setdefault("params", {}).setdefault("max_tokens", LONGEST_REPLY)
    if "ramp_up" in load:
        load.pop("request_rate", None)  # in AISBench a ramp replaces the rate


ADDRESS = ("host_ip", "host_port", "url", "enable_ssl")
"""The keys that form the address of a service."""


def _url(config: Mapping[str, Any]) -> str:
    scheme = "https" if config.get("enable_ssl") else "http"
    url = str(config.get("url") or "").strip()
    if url:
        return url if "://" in url else f"{scheme}://{url}"
    host = str(config.get("host_ip") or "localhost")
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{host}:{config.get('host_port', PORT)}"


def _option(name: str) -> Callable[[MappedModel, Any, str], None]:
    def put(mapped: MappedModel, value: Any, where: str) -> None:
        if value not in (None, ""):
            mapped.table.setdefault("options", {})[name] = toml_value(value, where)

    return put


def _load(name: str) -> Callable[[MappedModel, Any, str], None]:
    def put(mapped: MappedModel, value: Any, where: str) -> None:
        if value:
            mapped.table.setdefault("load", {})[name] = toml_value(value, where)

    return put


def _retries(mapped: MappedModel, value: Any, where: str) -> None:
    if not isinstance(value, int) or value < 0:
        raise ConfigError(where, "must be a whole number, 0 or more")
    mapped.table.setdefault("load", {})["retries"] = value


def _longest(mapped: MappedModel, value: Any, where: str) -> None:
    mapped.table.setdefault("params", {})["max_tokens"] = toml_value(value, where)


def _parameters(mapped: MappedModel, value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(where, "must be a dict")
    params = mapped.table.setdefault("params", {})
    for key, given in value.items():
        if key == "lora_data_map_file":
            mapped.table.setdefault("options", {})["lora_map"] = toml_value(given, f"{where}.{key}")
        elif key == "response_anomaly_enabled":
            mapped.notes.append(f"{where}.{key}: ignored: aisb does not search replies for anomalies")
        elif given is not None:  # AISBench sends None as null, which equals the default
            params[key] = toml_value(given, f"{where}.{key}")


def _tokenizer(mapped: MappedModel, value: Any, where: str) -> None:
    if value:
        mapped.tokenizer = str(toml_value(value, where))
        mapped.table.setdefault("options", {})["tokenizer"] = mapped.tokenizer


def _key(mapped: MappedModel, value: Any, where: str) -> None:
    if not isinstance(value, (str, type(None))):
        raise ConfigError(where, "must be a text in the file; or name a variable with --api-key-env")
    mapped.secret = value or None


def _traffic(mapped: MappedModel, value: Any, where: str) -> None:
    if not value:
        return
    if not isinstance(value, Mapping):
        raise ConfigError(where, "must be a dict")
    load = mapped.table.setdefault("load", {})
    known = ("burstiness", "ramp_up_strategy", "ramp_up_start_rps", "ramp_up_end_rps")
    for key in value:
        if key not in known:
            raise ConfigError(f"{where}.{key}", f"is not known; known: {', '.join(known)}")
    if "burstiness" in value:
        load |= {"arrival": "gamma", "burstiness": float(value["burstiness"])}
    if strategy := value.get("ramp_up_strategy"):
        start, end = value.get("ramp_up_start_rps"), value.get("ramp_up_end_rps")
        if strategy not in ("linear", "exponential") or start is None or end is None:
            raise ConfigError(
                where, "a ramp is linear or exponential, with ramp_up_start_rps and ramp_up_end_rps"
            )
        load["ramp_up"] = f"{strategy}:{start}:{end}"


def _postprocessor(mapped: MappedModel, value: Any, where: str) -> None:
    """Accept the key that removes reasoning, since aisb does that for all replies."""
    if not value:
        return
    name = _class_name(value.get("type") if isinstance(value, Mapping) else value, where)
    if name != "extract_non_reasoning_content":
        raise ConfigError(
            where,
            f"{name} is a Python function, which is not run; reasoning is never graded, and "
            "`postprocess` of a task defines how answers are extracted (see docs/tasks.md)",
        )
    begin, end = value.get("think_start_token"), value.get("think_end_token")
    if isinstance(begin, str) and isinstance(end, str) and (begin, end) != ("<think>", "</think>"):
        mapped.table["marks"] = {"thoughts": [{"open": begin, "close": end}]}


def _template(mapped: MappedModel, value: Any, where: str) -> None:
    """Accept a template that only names roles; other texts belong to the chat template."""
    del mapped
    if value and _has_text(value):
        raise ConfigError(
            where,
            "texts around turns are not sent to a service, whose chat template writes them; "
            "`system` is a key of a model, and a local model has `chat_template`",
        )


def _has_text(value: Any) -> bool:
    if isinstance(value, Mapping):
        keys = ("begin", "end", "prompt")
        return any(isinstance(value.get(key), str) and value[key] for key in keys) or any(
            map(_has_text, value.values())
        )
    return isinstance(value, (list, tuple)) and any(map(_has_text, value))


def _trust(mapped: MappedModel, value: Any, where: str) -> None:
    if value:
        mapped.notes.append(f"{where}: ignored: a tokenizer is loaded without running its code")


def _anomalies(mapped: MappedModel, value: Any, where: str) -> None:
    if value:
        mapped.notes.append(f"{where}: ignored: aisb does not search replies for anomalies")


SHARED_KEYS: Mapping[str, Callable[[MappedModel, Any, str], None]] = {
    "max_out_len": _longest,
    "generation_kwargs": _parameters,
    "meta_template": _template,
    "pred_postprocessor": _postprocessor,
    "response_anomaly": _anomalies,
}
SERVICE_KEYS: Mapping[str, Callable[[MappedModel, Any, str], None]] = {
    "path": _tokenizer,
    "tokenizer_path": _tokenizer,
    "model": _option("model"),
    "model_name": _option("model"),
    "stream": _option("stream"),
    "returns_tool_calls": _option("returns_tool_calls"),
    "request_rate": _load("request_rate"),
    "use_timestamp": _load("use_timestamp"),
    "batch_size": _load("concurrency"),
    "retry": _retries,
    "traffic_cfg": _traffic,
    "api_key": _key,
    "trust_remote_code": _trust,
}
LOCAL_KEYS: Mapping[str, Callable[[MappedModel, Any, str], None]] = {
    key: _option(key)
    for key in (
        "path", "tokenizer_path", "model_kwargs", "tokenizer_kwargs", "run_cfg", "batch_size", "max_seq_len",
        "batch_padding", "trust_remote_code",
    )
}  # fmt: skip


SEEING = "hf-vision"
"""The backend of local models with images: one sample at a time, with a processor."""


def _processor(mapped: MappedModel, value: Any, where: str) -> None:
    if value:
        options = mapped.table.setdefault("options", {})
        options["tokenizer_kwargs"] = {**options.get("tokenizer_kwargs", {}), **toml_value(value, where)}


def _one_at_a_time(mapped: MappedModel, value: Any, where: str) -> None:
    if value not in (None, 1, True):
        mapped.notes.append(f"{where}: ignored: a model with images processes one sample at a time")


SEEING_KEYS: Mapping[str, Callable[[MappedModel, Any, str], None]] = {
    "vision_kwargs": _processor,
    "tokenizer_kwargs": _processor,
    "batch_size": _one_at_a_time,
    "batch_padding": _one_at_a_time,
    "tokenizer_path": lambda *_: None,
}


def toml_value(value: Any, where: str) -> Any:
    """Return a value in a form for TOML: no None in tables, names of dtypes as texts."""
    if isinstance(value, Symbol):
        if value.path.startswith("torch."):
            return value.name
        raise ConfigError(where, f"{value.path} is Python code, which is not run")
    if isinstance(value, Opaque):
        raise ConfigError(where, f"{value.what} (line {value.line}) is Python code, which is not run")
    if isinstance(value, Mapping):
        return {
            str(key): toml_value(item, f"{where}.{key}") for key, item in value.items() if item is not None
        }
    if isinstance(value, (list, tuple)):
        return [toml_value(item, where) for item in value if item is not None]
    return value


def _class_name(value: Any, where: str) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, str) and value:
        return value.rpartition(".")[2]
    if isinstance(value, Opaque):
        raise ConfigError(where, f"{value.what} (line {value.line}) is Python code, which is not run")
    raise ConfigError(where, "must be the name of a class")
