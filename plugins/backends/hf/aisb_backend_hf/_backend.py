"""The backends: their options, and the path of a request to the model."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, cast

from aisb import Backend, BatchSize, Chunk, ReplyTokenizer, Request, ServiceInfo, TokenScores, UsageError
from aisb_backend_hf._sampling import PARAMS, refuse_beam_search

if TYPE_CHECKING:
    from aisb_backend_hf._engine import LocalEngine
    from aisb_backend_hf._loading import ModelSource
    from aisb_backend_hf._vision import VisionEngine

    AnyEngine: TypeAlias = LocalEngine | VisionEngine

_LOADING = threading.Lock()
"""Only one model loads at a time, since loading takes more memory than the loaded model."""


@dataclass(kw_only=True, eq=False)
class LocalModel(Backend):
    """The common part of the backends: a Transformers model on this machine."""

    path: Annotated[str, "the model's folder, or a .gguf file"] = ""
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"], "data type of the weights; auto: as saved"
    ] = "auto"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "npu", "mps"], "device of the model; auto: the best available"
    ] = "auto"
    device_map: Annotated[str | Mapping[str, Any] | None, "spread the model over devices, as in auto"] = None
    max_seq_len: Annotated[int | None, "context length in tokens; default: the model's own"] = None
    stream: Annotated[bool, "time each token"] = True
    adapter: Annotated[str | None, "folder of a PEFT adapter, merged into the weights"] = None
    trust_remote_code: Annotated[bool, "run the code in the model's folder"] = False
    allow_download: Annotated[bool, "use the path as a name at Hugging Face if there is no such folder"] = (
        False
    )
    model_kwargs: Annotated[Mapping[str, Any], "further arguments of the model's from_pretrained"] = field(
        default_factory=dict
    )
    tokenizer_kwargs: Annotated[
        Mapping[str, Any], "further arguments of the from_pretrained of the tokenizer or processor"
    ] = field(default_factory=dict)
    run_cfg: Annotated[Mapping[str, int], "num_gpus: number of devices of each worker process"] = field(
        default_factory=dict
    )

    local: ClassVar[bool] = True
    params: ClassVar[frozenset[str] | Literal["any"]] = PARAMS

    _engine: AnyEngine | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.path:
            raise UsageError("path is not set: set the model's folder, as in --set model.path=FOLDER")
        for name in ("batch_size", "max_batch_tokens", "max_seq_len"):
            value = getattr(self, name, None)
            if isinstance(value, int) and value < 1:
                raise UsageError(f"{name} = {value} is invalid: it must be at least 1")
        if unknown := set(self.run_cfg) - {"num_gpus", "num_procs"}:
            raise UsageError(
                f"run_cfg has {', '.join(sorted(unknown))}; the only key is num_gpus, the devices of a worker"
            )

    @property
    def model(self) -> str:
        """The identity of the model: a resumed run must use the same one."""
        more = {"adapter": self.adapter, "dtype": self.dtype if self.dtype != "auto" else None}
        more |= self._other_settings()
        said = [f"{key} {value}" for key, value in more.items() if value]
        return self.path + (f" ({', '.join(said)})" if said else "")

    def _other_settings(self) -> dict[str, str]:
        """Return the other settings that affect answers, by name."""
        return {"window": f"{self.max_seq_len}"} if self.max_seq_len else {}

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Refuse beam search."""
        refuse_beam_search(params)

    def pin(self, worker: int, workers: int) -> Mapping[str, str]:
        """Return the environment variables that give one of several workers its devices or cores."""
        from aisb_backend_hf import _device as device
        from aisb_backend_hf._libraries import need

        # Cores are shared without torch: only the workers import it, which takes seconds.
        if self.device != "cpu" or find_spec("torch") is None:
            need("torch", why="a local model")
        kind, each = device.resolve_device(self.device), int(self.run_cfg.get("num_gpus", 1))
        there = device.count(kind)
        if kind in device.DEVICE_VARIABLES and each * workers > there:
            raise UsageError(
                f"{workers} worker{'s' * (workers > 1)} with {each} device{'s' * (each > 1)} each need "
                f"{each * workers} of {kind}, and there {'is' if there == 1 else 'are'} {there}: "
                f"--max-num-workers {max(1, there // each)}, or a smaller run_cfg.num_gpus"
            )
        if kind == "cpu" and self.device == "cpu" and each > 1:
            raise UsageError(f"run_cfg.num_gpus = {each}, and device is cpu: omit one of them")
        if kind not in device.DEVICE_VARIABLES and "num_gpus" in self.run_cfg and each > max(1, there):
            raise UsageError(f"run_cfg.num_gpus = {each}, and this machine has {there} devices")
        return device.pin(kind, worker, workers, each)

    async def probe(self) -> ServiceInfo:
        """Load the model unless it is loaded, and describe it."""
        engine = await self._ready()
        return ServiceInfo(models=(self.path,), notes=tuple(engine.notes), detail=engine.notes[0])

    async def identity(self) -> Mapping[str, Any]:
        """Return the revision of the weights, and hashes of the configuration and the chat template."""
        return self._engine.identity(self.source().file) if self._engine else {}

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer one request, token by token."""
        engine = self._engine or await self._ready()
        row = engine.ask(request)
        try:
            while True:
                chunk = await row.stream.get()
                yield chunk
                if chunk.finish_reason:
                    return
        finally:
            row.cancelled = True

    async def counters(self) -> Mapping[str, float]:
        """Return the counts of the work so far."""
        return self._engine.meter.counters() if self._engine else {}

    def live(self) -> str:
        """Return a line about the current work."""
        return self._engine.meter.line() if self._engine else ""

    def summary(self) -> str:
        """Return a line about all work."""
        return self._engine.meter.summary() if self._engine else ""

    async def aclose(self) -> None:
        """Stop the model's thread."""
        import asyncio

        if self._engine:
            await asyncio.to_thread(self._engine.close)

    def source(self) -> ModelSource:
        """Return what is loaded."""
        from aisb_backend_hf._loading import ModelSource

        return ModelSource(
            path=self.path,
            dtype=self.dtype,
            device=self.device,
            device_map=self.device_map,
            adapter=self.adapter,
            trust_remote_code=self.trust_remote_code,
            allow_download=self.allow_download,
            model_kwargs=self.model_kwargs,
            tokenizer_kwargs=self.tokenizer_kwargs,
        )

    async def _ready(self) -> AnyEngine:
        """Load the model once, in a thread, because loading takes long.

        The thread ends afterwards, together with its OpenMP threads. Otherwise there would be more OpenMP
        threads than cores, and those of the computing thread would sleep between steps instead of spinning,
        which doubles the time of a step.
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1, "loading") as threads:
            return await asyncio.get_running_loop().run_in_executor(threads, self._load)

    def _load(self) -> AnyEngine:
        with _LOADING:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def _make_engine(self) -> AnyEngine:
        """Load the model, and return its engine."""
        raise NotImplementedError


@dataclass(kw_only=True, eq=False)
class HFModel(LocalModel):
    """A text model of Hugging Face Transformers on this machine."""

    tokenizer_path: Annotated[
        str | None,
        "folder of the tokenizer, if it is another one; its chat template renders chat tasks",
        ReplyTokenizer,
    ] = None
    batch_size: Annotated[int | Literal["auto"], "batch size; auto: as large as memory allows", BatchSize] = (
        "auto"
    )
    batch_padding: Annotated[bool, "batch rows of different lengths, with padding"] = True
    max_batch_tokens: Annotated[int | None, "maximum number of prompt tokens in one computation"] = None
    truncate: Annotated[
        Literal["never", "left"], "never: too long prompts fail; left: their beginning is cut"
    ] = "never"
    prefix_cache: Annotated[bool, "compute common prefixes of prompts once"] = True

    _turns: ClassVar[bool] = False

    _engine: LocalEngine | None = field(default=None, init=False, repr=False)

    def _other_settings(self) -> dict[str, str]:
        if self.truncate == "never" and not self.max_seq_len:
            return {}
        return {"window": f"{self.max_seq_len or 'own'}, truncate {self.truncate}"}

    @property
    def concurrency(self) -> int:  # type: ignore[override]
        """The number of queued requests: enough to sort them by length and to fill every batch."""
        return 512 if self.batch_size == "auto" else max(64, 8 * self.batch_size)

    async def logprob(self, request: Request) -> Sequence[TokenScores]:
        """Score the request's context alone, then with each of its continuations."""
        engine = cast("LocalEngine", self._engine or await self._ready())
        alone, item = engine.score(request)
        try:
            wholes: Sequence[TokenScores] = await item.stream.get()
        finally:
            item.cancelled = True
        unknown = (None,) * len(alone)
        return [TokenScores(tuple(alone), unknown, (False,) * len(alone)), *wholes]

    def source(self) -> ModelSource:
        """Return what is loaded."""
        return replace(super().source(), tokenizer_path=self.tokenizer_path)

    def _make_engine(self) -> LocalEngine:
        from aisb_backend_hf._loading import load

        loaded = load(self.source())
        self._prepare(loaded.tokenizer)
        from aisb_backend_hf._engine import LocalEngine, Settings

        settings = Settings(
            batch_size=self.batch_size,
            batch_padding=self.batch_padding,
            max_batch_tokens=self.max_batch_tokens,
            max_seq_len=self.max_seq_len,
            truncate=self.truncate,
            prefix_cache=self.prefix_cache,
            stream=self.stream,
        )
        return LocalEngine(
            loaded, settings, lambda: self.clock(), turns=self._turns or self.has_chat_template
        )

    def _prepare(self, tokenizer: Any) -> None:
        """Prepare the tokenizer for this backend."""


@dataclass(kw_only=True, eq=False)
class HFBase(HFModel):
    """A local base model of Hugging Face Transformers, which continues texts."""

    prompt_form: ClassVar[Literal["chat", "text"]] = "text"

    @property
    def has_chat_template(self) -> bool:
        """Whether the chat template of an explicitly set tokenizer renders messages of a chat task."""
        from aisb_backend_hf._chat import has_template

        return self.tokenizer_path is not None and has_template(self.tokenizer_path)


@dataclass(kw_only=True, eq=False)
class HFChat(HFModel):
    """A local chat model of Hugging Face Transformers, with its tokenizer's chat template."""

    chat_template: Annotated[str | None, "file of another chat template (Jinja), or its text"] = None

    _turns: ClassVar[bool] = True

    def _prepare(self, tokenizer: Any) -> None:
        from aisb_backend_hf._chat import set_template

        set_template(tokenizer, self.chat_template, self.path)


@dataclass(kw_only=True, eq=False)
class HFVision(LocalModel):
    """A local vision model of Hugging Face Transformers: any AutoModelForImageTextToText.

    Its own processor renders messages and reads images. It answers one request at a time.
    """

    chat_template: Annotated[str | None, "file of another chat template (Jinja), or its text"] = None

    prompt_form: ClassVar[Literal["chat", "text"]] = "chat"
    concurrency: ClassVar[int] = 4  # one is answered; some wait

    def source(self) -> ModelSource:
        """Return what is loaded."""
        return replace(super().source(), sees=True)

    def _make_engine(self) -> VisionEngine:
        from aisb_backend_hf._loading import load
        from aisb_backend_hf._vision import VisionEngine, set_vision_template

        loaded = load(self.source())
        set_vision_template(loaded, self.chat_template, self.path)
        window = self.max_seq_len
        return VisionEngine(loaded, lambda: self.clock(), window=window, streamed=self.stream)
