"""The API of vLLM's first server, `/generate`: a text in, the whole text including the prompt out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from aisb import (
    AttemptFailed,
    Chunk,
    EndpointPath,
    Failure,
    HttpCall,
    LoraAdapters,
    Prediction,
    Request,
    ServiceInfo,
)


@dataclass(kw_only=True, eq=False)
class VLLMGenerate(EndpointPath, LoraAdapters):
    """The `/generate` endpoint of vLLM's `entrypoints/api_server.py`, and of servers that adopted it.

    As in that file and examples/api_client.py: the body has the prompt and the sampling parameters, the reply
    is `{"text": [prompt and output]}`. A stream consists of such objects, each with the whole text so far,
    and ended by a NUL (by a newline in later versions). It has neither token counts nor finish reasons.
    """

    model: Annotated[str | None, "name of the model, stored with the results; it is not sent"] = None
    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = False
    cumulative: Annotated[bool, "each piece of a stream repeats all text before it"] = True

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"
    prompt_form: ClassVar[Literal["chat", "text"]] = "text"
    stream_end: ClassVar[Literal["finish", "close", "final"]] = "close"
    stream_format: ClassVar[Literal["sse", "json"]] = "json"
    endpoint: ClassVar[str] = "/generate"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.url = self.url.removesuffix(self.endpoint)

    def encode(self, request: Request) -> HttpCall:
        """Put the prompt and the parameters, as given, into one body."""
        # The server passes every key to its sampling parameters, which accept no other names.
        body = {"prompt": request.text, **request.params, "stream": self.stream}
        body.pop("num_return_sequences", None)
        if model := self.adapter(request):  # for MindIE; vLLM serves one model and rejects this key
            body["model"] = model
        return HttpCall(self.path or self.endpoint, body)

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one piece of a stream, or the whole reply."""
        text = event.get("text")
        if isinstance(text, list):
            text = text[0] if text else ""
        if not isinstance(text, str):
            return None
        reason = _finish_reason(event)
        if self.stream and not self.cumulative:
            return Chunk("content" if text else "role", text, finish_reason=reason)
        return Chunk("content", finish_reason=reason, whole=text)

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Remove the prompt, which the service repeats."""
        return replace(prediction, text=prediction.text.removeprefix(request.text or ""))

    async def probe(self) -> ServiceInfo:
        """Check that a server answers; it has no list of models."""
        answer = await self.probe_path("/health")
        return ServiceInfo(notes=() if answer.status == 200 else (f"/health returns {answer.status}",))


def _finish_reason(event: Mapping[str, Any]) -> str | None:
    """Return the finish reason, which SGLang's `/generate` puts into `meta_info`.

    Raises:
        AttemptFailed: the server aborted the reply with an error status.
    """
    meta = event.get("meta_info")
    reason = meta.get("finish_reason") if isinstance(meta, Mapping) else None
    if not isinstance(reason, Mapping):
        return reason if isinstance(reason, str) else None
    status = reason.get("status_code")
    if reason.get("type") == "abort" and isinstance(status, int):
        raise AttemptFailed(Failure("status", str(reason.get("message") or "aborted"), status))
    return str(reason.get("type"))
