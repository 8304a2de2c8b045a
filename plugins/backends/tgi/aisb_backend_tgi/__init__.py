"""Text Generation Inference: `tgi` and `tgi-stream`, over `/generate` and `/generate_stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
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

__all__ = ["TGI", "TGIStream", "hugging_face_names"]

SAMPLING_PARAMS = ("top_p", "top_k", "typical_p", "min_p")
"""Parameters that affect random sampling only."""

FINISH_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}
ENDPOINTS = ("/generate_stream", "/generate")


@dataclass(kw_only=True, eq=False)
class TGI(EndpointPath, ServedModel, LoraAdapters):
    """Text Generation Inference, whole replies or streamed, by its own API.

    The format is that of its OpenAPI document, version 2.4.1-dev0, the paths `/`, `/generate` and
    `/generate_stream` (https://huggingface.github.io/text-generation-inference/, docs/openapi.json):
    `inputs` and `parameters` in; `generated_text` and `details` out, streamed with one `token` an event. Its
    chat API is OpenAI's: use `openai-chat` for that.
    """

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = False

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"
    prompt_form: ClassVar[Literal["chat", "text"]] = "text"
    stream_end: ClassVar[Literal["finish", "close", "final"]] = "final"
    error_statuses: ClassVar[Mapping[str, int]] = {
        "generation": 500,  # TGI sends 424, which means that the model failed
        "incomplete_generation": 500,
        "overloaded": 429,
        "validation": 422,
        "tool_error": 422,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for endpoint in ENDPOINTS:
            self.url = self.url.removesuffix(endpoint)

    def encode(self, request: Request) -> HttpCall:
        """Put the text under `inputs`, and the parameters under `parameters` with TGI's names."""
        parameters = {"details": True, **hugging_face_names(request.params)}
        if adapter := self.adapter(request):
            parameters["adapter_id"] = adapter
        path = self.path or ENDPOINTS[0 if self.stream else 1]
        body: dict[str, Any] = {"inputs": request.text, "parameters": parameters}
        if path not in ENDPOINTS:  # the root path can do both, so the body selects
            body["stream"] = self.stream
        return HttpCall(path, body)

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one token, or the whole reply.

        A special token, such as the end of the reply, has no visible text; nor has a token whose character is
        still incomplete.
        """
        token = event.get("token") or {}
        text = "" if token.get("special") else token.get("text") or ""
        whole, details = event.get("generated_text"), event.get("details")
        if whole is None and not details:
            return Chunk("content" if text else "role", text, tokens=1 if token else None)
        details = details or {}
        reason = details.get("finish_reason") or "stop"  # without details, only the text marks the end
        has_text = text or (whole and not token)
        return Chunk(
            "content" if has_text else "finish",
            text,
            tokens=1 if text else None,
            finish_reason=FINISH_REASONS.get(reason, reason),
            usage=read_usage(details),
            whole=whole,
        )

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Remove the stop string at the end, which only this API leaves in the text."""
        stop = request.params.get("stop") or ()
        for text in (stop,) if isinstance(stop, str) else stop:
            if text and prediction.finish_reason == "stop" and prediction.text.endswith(text):
                return replace(prediction, text=prediction.text.removesuffix(text))
        return prediction

    async def probe(self) -> ServiceInfo:
        """Read `/info`, and compare the served model with the chosen one."""
        answer = await self.probe_path("/info")
        info = answer.json()
        served = info.get("model_id") if isinstance(info, Mapping) else None
        if not isinstance(info, Mapping) or not isinstance(served, str):
            return ServiceInfo(notes=(f"the service does not describe itself at /info ({answer.status})",))
        if self.model and self.check_model and self.model != served:
            raise self.unlisted_model_error("/info", [served])
        self.model = self.model or served
        reported = [f"version {info['version']}"] if info.get("version") else []
        if length := info.get("max_total_tokens"):
            reported.append(f"model length {length}")
        return ServiceInfo(models=(served,), detail=", ".join(reported))

    async def identity(self) -> Mapping[str, Any]:
        """Return the versions and the revision of the weights from `/info`."""
        info = (await self.fetch("/info")).json()
        names = {"version": "server_version", "sha": "server_revision", "model_sha": "revision"}
        names |= {"model_dtype": "dtype", "model_id": "weights"}
        reported = info if isinstance(info, Mapping) else {}
        found = {names[key]: reported[key] for key in names if isinstance(reported.get(key), str)}
        return {"server": "tgi", **found} if found else {}


@dataclass(kw_only=True, eq=False)
class TGIStream(TGI):
    """Text Generation Inference, streamed, by its own API."""

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = True


def hugging_face_names(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under the names of Text Generation Inference, which MindIE shares.

    Both servers reject a temperature of 0, a top_p of 1, and a top_k of 0 or -1, although these are their
    defaults; and both sample as soon as one of these is set. So greedy decoding is requested with `do_sample`
    alone.
    """
    given = {name: value for name, value in params.items() if value is not None}
    for name in ("n", "best_of", "num_return_sequences"):
        given.pop(name, None)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in given:
            given.setdefault("max_new_tokens", given.pop(name))
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    if given.get("temperature") == 0:
        del given["temperature"]
        given["do_sample"] = False
        for name in SAMPLING_PARAMS:
            given.pop(name, None)
    elif "temperature" in given:
        given.setdefault("do_sample", True)
    if given.get("top_p") == 1:
        del given["top_p"]
    if given.get("top_k") in (0, -1):
        del given["top_k"]
    return given


def read_usage(details: Mapping[str, Any]) -> Usage | None:
    """Translate token counts: streams have `input_length`; `prefill` is there on request."""
    output = details.get("generated_tokens")
    prompt = details.get("input_length") or len(details.get("prefill") or ()) or None
    return None if output is None and prompt is None else Usage(prompt, output)


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare both forms."""
    return {"tgi": TGI, "tgi-stream": TGIStream}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model files `tgi_api_general` and `tgi_stream_api_general`."""
    from importlib.resources import files

    return [files("aisb_backend_tgi")]
