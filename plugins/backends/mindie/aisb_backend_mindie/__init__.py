"""Huawei's MindIE: `mindie` and `mindie-stream`, over its own API, `/infer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Annotated, Any, ClassVar

from aisb import Backend, Chunk, HttpCall, Request, ServiceInfo, hookimpl
from aisb_backend_tgi import FINISH_REASONS, TGI, read_usage

__all__ = ["MindIE", "MindIEStream"]


@dataclass(kw_only=True, eq=False)
class MindIE(TGI):
    """MindIE's own API, whole replies or streamed.

    The format is that of the page "MindIE native text/streaming inference API" of the MindIE service guide
    (1.0.RC3 to 2.2.RC1): `inputs`, `stream` and `parameters` in, `generated_text` and `details` out. The
    parameters are on mindie/10RC3/mindieservice/servicedev/mindie_service0266.html, replies, streamed and
    whole, on mindie/21RC1/mindieservice/servicedev/mindie_service0010.html, both below
    https://www.hiascend.com/document/detail/zh/. Its other APIs are those of TGI (`tgi`), Triton (`triton`
    with `parameters = "nested"`), early vLLM (`vllm-generate`) and OpenAI (`vllm-chat`).
    """

    url: Annotated[str, "address of the service: scheme, host, port, and a path prefix if it has one"] = (
        "http://127.0.0.1:1025"
    )

    endpoint: ClassVar[str] = "/infer"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.url = self.url.removesuffix(self.endpoint)

    def encode(self, request: Request) -> HttpCall:
        """Return TGI's request with another path, and with `stream` in the body."""
        call = super().encode(request)
        body: Any = call.body
        parameters = dict(body["parameters"])
        if parameters.get("seed") == 0:
            del parameters["seed"]  # it must be greater than 0
        body = {"inputs": body["inputs"], "stream": self.stream, "parameters": parameters}
        return HttpCall(self.path or self.endpoint, body)

    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one event, or the whole reply.

        An event may hold several tokens; then it lists their ids. The last event has its text only in
        `generated_text`.
        """
        token = event.get("token") or {}
        ids = token.get("id")
        count = len(ids) if isinstance(ids, list) else None if ids is None else 1
        whole, details = event.get("generated_text"), event.get("details") or {}
        if whole is None and not details:
            text = token.get("text") or ""
            return Chunk("content" if text else "role", text, tokens=count)
        reason = details.get("finish_reason") or "stop"
        return Chunk(
            "content" if whole else "finish",
            tokens=count,
            finish_reason=FINISH_REASONS.get(reason, reason),
            usage=read_usage(details),
            whole=whole,
        )

    async def probe(self) -> ServiceInfo:
        """Read the list of models of its OpenAI API; a server without one is accepted."""
        answer = await self.probe_path("/v1/models")
        data = answer.json()
        entries = data.get("data") if isinstance(data, Mapping) else None
        names = [str(entry["id"]) for entry in entries or () if isinstance(entry, Mapping) and "id" in entry]
        if not names:
            return ServiceInfo(notes=(f"the service has no list of models ({answer.status})",))
        if self.model and self.check_model and self.model not in names:
            raise self.unlisted_model_error("/v1/models", names)
        if self.model is None and len(names) == 1:
            self.model = names[0]
        return ServiceInfo(models=tuple(names))


@dataclass(kw_only=True, eq=False)
class MindIEStream(MindIE):
    """MindIE's own API, streamed."""

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = True


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    """Declare both forms."""
    return {"mindie": MindIE, "mindie-stream": MindIEStream}


@hookimpl
def aisb_configs() -> Iterable[Traversable]:
    """Declare the folder of the model file `mindie_stream_api_general`."""
    from importlib.resources import files

    return [files("aisb_backend_mindie")]
