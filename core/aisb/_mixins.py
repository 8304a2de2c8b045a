"""Options that only some HTTP backends can honour: a backend has them by inheriting what implements them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from aisb._backend import HttpBackend
from aisb._errors import ServiceError, UsageError, did_you_mean, listed
from aisb._types import Request


@dataclass(kw_only=True, eq=False)
class EndpointPath(HttpBackend):
    """Lets users name another path of the endpoint. `encode` must use `path` where it is set."""

    path: Annotated[str | None, "path of the endpoint, where it is not the usual one"] = None


@dataclass(kw_only=True, eq=False)
class ServedModel(HttpBackend):
    """Lets users name one of several models. `encode` must send `model`, or `probe` compare it."""

    model: Annotated[str | None, "model to ask for; left out, the one that is served"] = None
    check_model: Annotated[bool, "stop when the service does not list the model"] = True

    def wrong_model(self, path: str, names: Iterable[str]) -> ServiceError:
        """Return the error for a model that the service does not list at a path."""
        names = sorted(names)
        model = str(self.model)
        return ServiceError(
            f"{self.address}{path} does not list a model {model!r}{did_you_mean(model, names)}\n"
            f"  it serves: {listed(names)}\n"
            f"  to use a name that is served without being listed: --set model.check_model=false"
        )


@dataclass(kw_only=True, eq=False)
class LoraAdapters(HttpBackend):
    """Lets users send each sample to a LoRA adapter of its own. `encode` must send what `adapter` returns."""

    lora_map: Annotated[str | None, "JSON file of LoRA adapters: sample id to the adapter's name"] = None

    def adapter(self, request: Request) -> str | None:
        """Return the LoRA adapter that `lora_map` gives the request's sample; None for the model as it is."""
        return self._adapters.get(request.sample_id) if self.lora_map else None

    def adapters_hash(self) -> str | None:
        """Return a hash over what `lora_map` says, whatever the order of its lines; None without one."""
        if not self.lora_map:
            return None
        import hashlib

        return hashlib.sha256(repr(sorted(self._adapters.items())).encode()).hexdigest()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._adapters = read_adapters(self.lora_map) if self.lora_map else {}


def read_adapters(file: str) -> dict[str, str]:
    """Read which sample asks which LoRA adapter: one JSON object of sample ids and names.

    Raises:
        UsageError: the file cannot be read, or is not that.
    """
    import json
    from pathlib import Path

    try:
        data = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"lora_map = {file!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"lora_map = {file!r} is not JSON: {error}") from error
    if isinstance(data, dict) and all(isinstance(name, str | int) for name in data.values()):
        return {sample: str(name) for sample, name in data.items()}
    raise UsageError(
        f'lora_map = {file!r} must hold one JSON object, sample id to adapter: {{"0": "sql", "1": "chat"}}'
    )
