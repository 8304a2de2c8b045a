"""The mock server's text endpoints of TGI, MindIE and early vLLM.

Shapes: TGI's docs/openapi.json (2.4), MindIE's service guide ("native inference API", 2.2.RC1), and vLLM's
entrypoints/api_server.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from aisb_mock._openai import whole_number
from aisb_mock._replies import Ask, Dialect, Event, Refused, Reply

TGI_FINISH_REASONS = {"stop": "eos_token"}
ERROR_TYPES = {400: "validation", 422: "validation", 429: "overloaded", 500: "generation"}


class TextGeneration(Dialect):
    """What TGI and MindIE share: `inputs` and `parameters` in, `generated_text` and `reply_details` out."""

    needs_key = False
    garbage = b'data:{"index": 3, "token": {"id": \n\n'

    def read(self, data: Mapping[str, Any], path: str) -> Ask:
        """Translate the body of a request."""
        text, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(text, str) or not text:
            raise Refused(422, "Input validation error: `inputs` cannot be empty")
        if not isinstance(parameters, Mapping):
            raise Refused(422, "Input validation error: `parameters` must be an object")
        return read_parameters(text, parameters, stream=self.streams(data, path))

    def streams(self, data: Mapping[str, Any], path: str) -> bool:
        """Return whether the reply is streamed: by the path, or by the body if the path allows both."""
        return path == "/generate_stream" or (path != "/generate" and bool(data.get("stream")))

    def reply_id(self, reply: Reply) -> str:
        """Return a name for the record; the API has none."""
        return f"text-{reply.number:016x}"

    def whole(self, reply: Reply) -> bytes:
        """Return the text, and the details if requested."""
        return orjson.dumps(last_fields(reply))

    def error(self, refused: Refused) -> bytes:
        """Return the body that goes with an error status."""
        kind = ERROR_TYPES.get(refused.status, "healthcheck")
        return orjson.dumps({"error": refused.message, "error_type": kind})

    def error_event(self, refused: Refused) -> bytes:
        """Return the event that reports an error inside a stream."""
        return b"data:" + self.error(refused) + b"\n\n"


class MockTGI(TextGeneration):
    """`POST /generate`, `/generate_stream`, and `/`, which answers either way."""

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield an event for each token; the last is a special token, unless the reply was cut by length."""
        chunks = list(reply.chunks())
        cut = reply.finish_reason == "length" and bool(chunks)
        end = last_fields(reply)
        if reply.include_usage:
            end["details"]["input_length"] = reply.prompt_tokens
        index = 0
        for at, (_, text, tokens) in enumerate(chunks, start=1):
            index += tokens
            token = {"id": index, "text": text, "logprob": -0.5, "special": False}
            yield Event("token", _event(index, token, end if cut and at == len(chunks) else {}), tokens)
        if not cut:
            last = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
            yield Event("finish", _event(index + 1, last, end))

    def whole(self, reply: Reply) -> bytes:
        """Return the text, and details with a list of tokens if requested."""
        return orjson.dumps(self.answer(reply))

    def answer(self, reply: Reply) -> dict[str, Any]:
        """Return a whole reply."""
        end = last_fields(reply)
        if reply.include_usage:
            tokens = [
                {"id": at, "text": text, "logprob": -0.5, "special": False}
                for at, text in enumerate((*reply.reasoning, *reply.pieces), start=1)
            ]
            end["details"] |= {"prefill": [], "tokens": tokens}
        return end


def _event(index: int, token: dict[str, Any], end: dict[str, Any]) -> bytes:
    event = {"index": index, "token": token, "generated_text": None, "details": None} | end
    return b"data:" + orjson.dumps(event) + b"\n\n"


class TGIRoot(MockTGI):
    """`POST /`, whose whole replies are a list of one."""

    def whole(self, reply: Reply) -> bytes:
        """Return a list of one reply."""
        return orjson.dumps([self.answer(reply)])


class MockMindIE(TextGeneration):
    """`POST /infer`: the text of the last token occurs only in the whole text."""

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the tokens of each chunk, and with the last one the whole text."""
        chunks = list(reply.chunks())
        made = 0
        for at, (_, text, tokens) in enumerate(chunks, start=1):
            ids = list(range(made, made + tokens))
            made += tokens
            times = {"prefill_time": 45.5 if at == 1 else None, "decode_time": None if at == 1 else 16.8}
            if at < len(chunks):
                event: dict[str, Any] = {**times, "token": {"id": ids, "text": text}}
            else:
                event = {**times, "details": None, **last_fields(reply), "token": {"id": ids, "text": None}}
            yield Event("token", b"data: " + orjson.dumps(event) + b"\n\n", tokens)
        if not chunks:
            yield Event("finish", b"data: " + orjson.dumps({"details": None, **last_fields(reply)}) + b"\n\n")


class OldGenerate(Dialect):
    """`POST /generate` of vLLM's first server: all text so far, the prompt before it, in each piece."""

    needs_key = False
    stream_type = b""
    garbage = b'{"text": ["broken\0'

    def read(self, data: Mapping[str, Any], path: str) -> Ask:  # noqa: ARG002 - the body has everything
        """Translate the body of a request."""
        text = data.get("prompt")
        if not isinstance(text, str):
            raise Refused(500, "Internal Server Error")
        ask = read_parameters(text, data, stream=bool(data.get("stream")))
        ask.echo = True
        return ask

    def reply_id(self, reply: Reply) -> str:
        """Return a name for the record; the API has none."""
        return f"old-{reply.number:016x}"

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the whole text so far in each event."""
        said = reply.echo
        for _, text, tokens in reply.chunks():
            said += text
            yield Event("token", orjson.dumps({"text": [said]}) + b"\0", tokens)

    def whole(self, reply: Reply) -> bytes:
        """Return the prompt and the text together."""
        return orjson.dumps({"text": [reply.echo + "".join(reply.reasoning) + reply.text]})

    def error(self, refused: Refused) -> bytes:
        """Return the body that goes with an error status."""
        return orjson.dumps({"detail": refused.message})

    def error_event(self, refused: Refused) -> bytes:
        """Return a piece that reports an error; the real server would only close the connection."""
        return orjson.dumps({"error": refused.message}) + b"\0"


def read_parameters(text: str, parameters: Mapping[str, Any], *, stream: bool) -> Ask:
    """Translate parameters by the names of either API; raise `Refused` if TGI would refuse them."""
    for name in ("n", "best_of"):
        if whole_number(parameters, name, 1) != 1:
            raise Refused(422, f"Input validation error: `{name}` must be 1: this server gives one choice")
    for name in ("temperature", "top_p"):
        value = parameters.get(name)
        if "max_new_tokens" in parameters and value is not None and value <= 0:
            raise Refused(422, f"Input validation error: `{name}` must be strictly positive")
    stop = parameters.get("stop") or []
    return Ask(
        prompt=text,
        key=text,
        prompt_tokens=len(text.split()),
        max_tokens=whole_number(parameters, "max_new_tokens", None, least=1)
        or whole_number(parameters, "max_tokens", None, least=1),
        min_tokens=whole_number(parameters, "min_tokens", 0) or 0,
        ignore_eos=bool(parameters.get("ignore_eos")),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=whole_number(parameters, "seed", None),
        stream=stream,
        include_usage=bool(parameters.get("details")),
        adapter=parameters.get("adapter_id"),
    )


def last_fields(reply: Reply) -> dict[str, Any]:
    """Return the whole text, and the details if requested."""
    end: dict[str, Any] = {"generated_text": "".join(reply.reasoning) + reply.text}
    if reply.include_usage:
        end["details"] = reply_details(reply)
    return end


def reply_details(reply: Reply) -> dict[str, Any]:
    """Return the finish reason, and the number of tokens unless usage is off."""
    said: dict[str, Any] = {"finish_reason": TGI_FINISH_REASONS.get(reply.finish_reason, reply.finish_reason)}
    if reply.usage:
        said["generated_tokens"] = reply.output_tokens
    return said | {"seed": None}


TEXT_GENERATION: Mapping[str, Dialect] = {
    "/": TGIRoot(),
    "/generate": MockTGI(),
    "/generate_stream": MockTGI(),
    "/infer": MockMindIE(),
}
OLD_GENERATE = OldGenerate()
"""At `/generate` like TGI's API, and distinguished by the key of the text."""
