"""Triton Inference Server: `triton` and `triton-stream`, over its generate extension."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from typing import Annotated, Any, ClassVar, Literal

from aisb import (
    Backend,
    Chunk,
    EndpointPath,
    HttpCall,
    LoraAdapters,
    Prediction,
    Request,
    ServedModel,
    ServiceInfo,
    Usage,
    hookimpl,
)
from aisb_backend_tgi import hugging_face_names

__all__ = ["Triton", "TritonStream"]

FINISH_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}


@dataclass(kw_only=True, eq=False)
class Triton(EndpointPath, ServedModel, LoraAdapters):
    """Triton's generate extension, with inputs named as TensorRT-LLM's `ensemble` names them.

    The endpoints are those of Triton's protocol/extension_generate.md (2.51): each key of the body becomes an
    input tensor of that name, and keys without such an input are silently ignored. The names
    are those of tensorrtllm_backend's README and ensemble/config.pbtxt.
    """

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = False
    version: Annotated[str | None, "version of the model; default: the server's choice"] = None
    cumulative: Annotated[bool, "each event repeats all text before it (accumulate_tokens)"] = False
    echoes_prompt: Annotated[bool, "the reply begins with the prompt (exclude_input_in_output = false)"] = (
        False
    )
    parameters: Annotated[
        Literal["inputs", "nested"],
        "as inputs, by TensorRT-LLM's names; or in `parameters`, by MindIE's names",
    ] = "inputs"

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"
    prompt_form: ClassVar[Literal["chat", "text"]] = "text"
    stream_end: ClassVar[Literal["finish", "close", "final"]] = "close"

    _inputs: frozenset[str] = field(default=frozenset(), init=False, repr=False)

    def encode(self, request: Request) -> HttpCall:
        """Put the text and the parameters into one body, under the names of the model's inputs."""
        body: dict[str, Any] = {"text_input": request.text}
        if self.parameters == "nested":
            body["parameters"] = {"details": True, **hugging_face_names(request.params)}
        else:
            body |= self._named(request.params) | {"stream": self.stream}
            if adapter := self.adapter(request):
                body["lora_task_id"] = int(adapter) if adapter.isdecimal() else adapter
        return HttpCall(self.path or self._path("generate_stream" if self.stream else "generate"), body)

    def _named(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters under the names of TensorRT-LLM's inputs; others stay as they are."""
        names = {"max_completion_tokens": "max_tokens", "stop": "stop_words"}
        if "seed" in params and "seed" not in self._inputs and "random_seed" in self._inputs:
            names["seed"] = "random_seed"  # the name in earlier versions
        named = {names.get(name, name): value for name, value in params.items() if value is not None}
        for name in ("n", "best_of", "num_return_sequences"):
            named.pop(name, None)
        for name in ("stop_words", "bad_words"):
            if isinstance(words := named.get(name), list | tuple):
                # A list is a tensor of several elements; a model with one element per request rejects it.
                named[name] = words[0] if len(words) == 1 else list(words)
                if not words:
                    del named[name]
        if named.get("temperature") == 0:
            # TensorRT-LLM divides by the temperature. A single candidate is greedy at any temperature.
            named |= {"temperature": 1.0, "top_k": 1}
            named.pop("top_p", None)
        return named

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one event, or the whole reply; MindIE puts `details` into the last event."""
        text = event.get("text_output")
        if isinstance(text, list):
            text = text[0] if text else ""
        text = text or ""
        details = event.get("details") or {}
        reason = details.get("finish_reason")
        count = details.get("generated_tokens")
        return Chunk(
            "content" if text else "finish" if reason else "role",
            "" if self.cumulative else text,
            finish_reason=FINISH_REASONS.get(reason, reason) if reason else None,
            usage=None if count is None else Usage(output_tokens=count),
            whole=text if self.cumulative and text else None,
        )

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Remove the prompt if the service repeats it."""
        if not self.echoes_prompt or not request.text:
            return prediction
        return replace(prediction, text=prediction.text.removeprefix(request.text))

    async def probe(self) -> ServiceInfo:
        """Check that the model is ready, and read its inputs."""
        from aisb_backend_triton._probe import probe

        return await probe(self)

    def state(self) -> Mapping[str, Any]:
        """Return the inputs of the model."""
        return {**super().state(), "_inputs": self._inputs}

    def take_inputs(self, names: Iterable[str]) -> None:
        """Store the inputs of the model."""
        self._inputs = frozenset(names)

    def _path(self, what: str) -> str:
        return f"{self.model_path()}/{what}"

    def model_path(self) -> str:
        """Return the path of the model, with the chosen version, if any."""
        from urllib.parse import quote

        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        return f"/v2/models/{quote(self.model or 'ensemble', safe='')}{version}"


@dataclass(kw_only=True, eq=False)
class TritonStream(Triton):
    """Triton's generate extension, streamed, with inputs named as TensorRT-LLM's `ensemble` names them."""

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = True


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare both forms."""
    return {"triton": Triton, "triton-stream": TritonStream}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model files `triton_api_general` and `triton_stream_api_general`."""
    from importlib.resources import files

    return [files("aisb_backend_triton")]
