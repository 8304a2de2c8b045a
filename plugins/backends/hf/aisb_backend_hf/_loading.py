"""Load a model and its tokenizer from a folder, and explain errors of loading."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb import AisbError, PluginError, ServiceError, UsageError
from aisb_backend_hf import _device as devices
from aisb_backend_hf._libraries import explained, need

WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
WINDOW_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
UNLIMITED_LENGTH = 1 << 24
"""A tokenizer's maximum length from this value on means "none"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """The files and settings to load. With `sees`, the model is loaded with its image processor."""

    path: str
    sees: bool = False
    tokenizer_path: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    device_map: str | Mapping[str, Any] | None = None
    adapter: str | None = None
    trust_remote_code: bool = False
    allow_download: bool = False
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The path with `~` expanded."""
        return Path(self.path).expanduser()


@dataclass(slots=True)
class Loaded:
    """A loaded model. `window` is its context window in tokens, None if it declares none.

    `processor` prepares images and text for a vision model.
    """

    model: Any
    tokenizer: Any
    window: int | None
    ends: frozenset[int]
    defaults: dict[str, Any]
    seconds: float
    processor: Any = None

    def line(self) -> str:
        """Return a line with what was loaded, how long it took, and the device."""
        model = self.model
        parameters = sum(weight.numel() for weight in model.parameters())
        size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        kind = str(model.dtype).removeprefix("torch.")
        return (
            f"loaded in {self.seconds:.1f} s: {parameters / 1e6:,.1f} million parameters, {kind}, "
            f"{devices.bytes_text(size)}, on {model.device}"
        )


def load(source: ModelSource) -> Loaded:
    """Load a model and its tokenizer.

    Raises:
        UsageError: the folder does not exist, or files are missing, damaged or need their own code.
        PluginError: a library is missing, or incompatible with another.
        ServiceError: out of memory.
    """
    began = time.monotonic()
    need("torch", why="a local model")
    transformers = need("transformers", why="a local model")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    check_path(source)
    place = devices.resolve_device(source.device)
    processor = None
    if source.sees:
        processor = _guarded(source, "the processor", lambda: _processor(transformers, source))
        tokenizer = processor.tokenizer
    else:
        tokenizer = _guarded(source, "the tokenizer", lambda: _tokenizer(transformers, source))
    model = _guarded(source, "the model", lambda: _model(transformers, source, place))
    model.eval()
    return Loaded(
        model,
        tokenizer,
        _window(model, tokenizer),
        _ends(model, tokenizer, source),
        _defaults(model),
        time.monotonic() - began,
        processor,
    )


def check_path(source: ModelSource) -> None:
    """Refuse a path that is not the folder of a model, unless the model may be downloaded.

    Raises:
        UsageError: the message says what was expected.
    """
    path = source.file
    if path.is_dir():
        if not (path / "config.json").is_file():
            inside = sorted(entry.name for entry in path.iterdir())[:6]
            raise UsageError(
                f"path = {source.path!r}: the folder has no config.json, so it is not a model of "
                f"Transformers (it has {', '.join(inside) or 'nothing'}); for GGUF, set the path of the file"
            )
        return
    if path.is_file():
        if path.suffix != ".gguf":
            raise UsageError(f"path = {source.path!r} is a file; set the model's folder, or a .gguf file")
        return
    if source.allow_download:
        return
    raise UsageError(
        f"path = {source.path!r}: there is no such folder; looked for {path / 'config.json'}\n"
        "  nothing is downloaded by default; --allow-download allows a model's name at Hugging Face"
    )


def _named(source: ModelSource, path: str) -> tuple[str, dict[str, Any]]:
    """Return the arguments for transformers: a folder or name, and the GGUF file in it."""
    own = Path(path).expanduser()
    more = {"local_files_only": not source.allow_download, "trust_remote_code": source.trust_remote_code}
    if own.is_file() and own.suffix == ".gguf":
        need("gguf", why=f"reading {own.name}", install="pip install 'aisb-backend-hf[gguf]'")
        return str(own.parent), {**more, "gguf_file": own.name}
    return (str(own) if own.exists() else path), more


def _tokenizer(transformers: Any, source: ModelSource) -> Any:
    name, more = _named(source, source.tokenizer_path or source.path)
    if source.tokenizer_path and not Path(name).exists() and not source.allow_download:
        raise UsageError(f"tokenizer_path = {source.tokenizer_path!r}: there is no such folder")
    return transformers.AutoTokenizer.from_pretrained(name, **{**more, **source.tokenizer_kwargs})


def _processor(transformers: Any, source: ModelSource) -> Any:
    need("PIL", why="images", install="pip install 'aisb-backend-hf[vision]'")
    name, more = _named(source, source.path)
    processor = transformers.AutoProcessor.from_pretrained(name, **{**more, **source.tokenizer_kwargs})
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise UsageError(
            f"path = {source.path!r}: it has no image processor, so it is a text model\n"
            "  for such a model use hf_chat_model"
        )
    return processor


def _model(transformers: Any, source: ModelSource, place: str) -> Any:
    import torch

    name, more = _named(source, source.path)
    if source.device_map is not None:
        need("accelerate", why="device_map", install="pip install 'aisb-backend-hf[device-map]'")
        more["device_map"] = source.device_map
    dtype = source.dtype if source.dtype == "auto" else getattr(torch, source.dtype)
    given = {"dtype": dtype, **more, **source.model_kwargs}
    kind = "AutoModelForImageTextToText" if source.sees else "AutoModelForCausalLM"
    model, info = getattr(transformers, kind).from_pretrained(name, output_loading_info=True, **given)
    for key, what in (
        ("missing_keys", "are not in its files"),
        ("mismatched_keys", "have another shape in its files"),
    ):
        if lacking := sorted(str(one) for one in info.get(key) or ()):
            raise UsageError(
                f"path = {source.path!r}: {len(lacking)} of the model's tensors {what}, "
                f"such as {lacking[0]}; "
                "copy the folder again, or check that it is a model that generates text"
            )
    if source.adapter:
        model = _adapted(model, source.adapter)
    return model if source.device_map is not None else model.to(place)


def _adapted(model: Any, adapter: str) -> Any:
    """Merge an adapter into the model's weights, so that it costs nothing at inference."""
    folder = Path(adapter).expanduser()
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(
            f"adapter = {adapter!r}: there is no such adapter; looked for {folder / 'adapter_config.json'}"
        )
    peft = need("peft", why="an adapter", install="pip install 'aisb-backend-hf[adapters]'")
    try:
        return peft.PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (ValueError, RuntimeError) as error:
        words = " ".join(str(error).split())[:300]
        raise UsageError(f"adapter = {adapter!r} does not fit the model: {words}") from error


def _guarded(source: ModelSource, what: str, load_it: Any) -> Any:
    """Load one part; turn the libraries' exceptions into errors that a user can act on."""
    try:
        return load_it()
    except AisbError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        if devices.is_out_of_memory(error):
            raise ServiceError(
                f"out of memory while loading {source.path}: {words}\n  use a smaller dtype "
                "(model.dtype=bfloat16), free the device, or spread the model (model.device_map=auto)"
            ) from error
        if "trust_remote_code" in str(error):
            raise UsageError(
                f"path = {source.path!r}: {what} needs the code in its folder, which is not run by default\n"
                "  read it, and if you trust it: --set model.trust_remote_code=true"
            ) from error
        if isinstance(error, ImportError):
            raise PluginError(f"{what} of {source.path} needs a library: {words}") from error
        if "register_fake" in words or "torchvision::nms" in words:
            raise PluginError(explained("transformers", error)) from error
        raise UsageError(_broken(source, what, error, words)) from error


def _broken(source: ModelSource, what: str, error: Exception, words: str) -> str:
    folder = source.file if source.file.is_dir() else source.file.parent
    if type(error).__name__ == "SafetensorError" or "unpickl" in words or "PytorchStreamReader" in words:
        files = sorted(file for kind in WEIGHTS for file in folder.glob(kind))
        sizes = ", ".join(f"{file.name} ({devices.bytes_text(file.stat().st_size)})" for file in files[:4])
        there = sizes or "there are none"
        return f"path = {source.path!r}: its weights are incomplete ({words}); copy them again: {there}"
    if "no file named" in words or isinstance(error, FileNotFoundError):
        return f"path = {source.path!r}: a file of {what} is missing: {words}"
    return f"path = {source.path!r}: {what} cannot be loaded: {type(error).__name__}: {words}"


def _window(model: Any, tokenizer: Any) -> int | None:
    config = model.config.get_text_config()
    said = [
        value for key in WINDOW_KEYS if isinstance(value := getattr(config, key, None), int) and value > 0
    ]
    length = getattr(tokenizer, "model_max_length", None)
    if not said and isinstance(length, int) and length < UNLIMITED_LENGTH:
        said.append(length)
    return said[0] if said else None


def _ends(model: Any, tokenizer: Any, source: ModelSource) -> frozenset[int]:
    """Return the tokens that end an answer. With a GGUF file, only the tokenizer knows them.

    The configuration derived from a GGUF file has the default of its class, wrong for many models.
    """
    said_by_config = getattr(model.generation_config, "eos_token_id", None)
    if source.file.suffix == ".gguf":
        said_by_config = None
    ends: set[int] = set()
    for said in (said_by_config, tokenizer.eos_token_id):
        ends.update(said if isinstance(said, list) else [] if said is None else [said])
    return frozenset(ends)


def _defaults(model: Any) -> dict[str, Any]:
    names = ("do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty")
    config = model.generation_config
    return {name: value for name in names if (value := getattr(config, name, None)) is not None}
