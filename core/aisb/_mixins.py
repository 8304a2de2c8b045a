"""Options that only some HTTP backends support. A backend gets them by inheriting the class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from aisb._backend import HttpBackend
from aisb._deprecated import Renamed
from aisb._errors import ServiceError, UsageError, did_you_mean, listed
from aisb._types import Request


@dataclass(kw_only=True, eq=False)
class EndpointPath(HttpBackend):
    """Lets users set another path of the endpoint. `encode` must use `path` if it is set."""

    path: Annotated[str | None, "path of the endpoint, if it is not the default one"] = None


@dataclass(kw_only=True, eq=False)
class ServedModel(HttpBackend):
    """Lets users select one of several models. `encode` must send `model`, or `probe` must check it."""

    model: Annotated[str | None, "model to request; default: the model that is served"] = None
    check_model: Annotated[bool, "stop if the service does not list the model"] = True

    def unlisted_model_error(self, path: str, names: Iterable[str]) -> ServiceError:
        """Return the error to raise if the list of models at `path` does not have the requested model."""
        names = sorted(names)
        return ServiceError(
            f"{self.address}{path} does not list a model {self.model!r}"
            f"{did_you_mean(str(self.model), names)}\n  it serves: {listed(names)}\n"
            f"  to use a name that is served without being listed: --set model.check_model=false"
        )

    wrong_model = Renamed("unlisted_model_error")


@dataclass(kw_only=True, eq=False)
class LoraAdapters(HttpBackend):
    """Lets users choose a LoRA adapter for each sample. `encode` must send what `adapter` returns."""

    lora_map: Annotated[str | None, "JSON file of LoRA adapters: sample id to the adapter's name"] = None

    def adapter(self, request: Request) -> str | None:
        """Return the LoRA adapter for the request's sample, or None for the base model."""
        return self._adapters.get(request.sample_id) if self.lora_map else None

    def adapters_hash(self) -> str | None:
        """Return a hash of the content of `lora_map` that does not depend on its order; None without one."""
        if not self.lora_map:
            return None
        import hashlib

        return hashlib.sha256(repr(sorted(self._adapters.items())).encode()).hexdigest()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._adapters = read_adapters(self.lora_map) if self.lora_map else {}


def read_adapters(file: str) -> dict[str, str]:
    """Read the LoRA adapter of each sample from a file: one JSON object, sample id to adapter name.

    Raises:
        UsageError: the file cannot be read, or has another format.
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
