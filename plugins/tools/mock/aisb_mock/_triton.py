"""The mock server's Triton endpoints: the generate extension, and metadata of models.

Shapes: Triton's protocol/extension_generate.md and extension_model_repository.md, as its server 2.51 answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from aisb_mock._generate import read_parameters, reply_details
from aisb_mock._openai import json_text
from aisb_mock._replies import Ask, Dialect, Event, Refused, Reply

GENERATE = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?/generate(_stream)?")
MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?(/ready)?")
INPUTS = (
    "text_input",
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop_words",
    "bad_words",
)


class MockTriton(Dialect):
    """`POST /v2/models/MODEL[/versions/N]/generate` and `…/generate_stream`."""

    needs_key = False
    garbage = b'data: {"model_name": "broken", "text_out\n\n'

    def read(self, data: Mapping[str, Any], path: str) -> Ask:
        """Translate the body of a request; the path names the model, and says whether to stream."""
        named = GENERATE.fullmatch(path)
        text = data.get("text_input")
        if isinstance(text, list) and len(text) == 1:
            text = text[0]
        if named is None or not isinstance(text, str):
            raise Refused(400, "expected 1 or more inputs but got 0 inputs for model 'mock'")
        nested = data.get("parameters") or {}
        words = nested.get("stop") or data.get("stop_words")
        given = {**data, **nested, "stop": words}
        ask = read_parameters(text, given, stream=named[2] is not None)
        if not ask.stream and data.get("stream") is True:
            raise Refused(400, "generate expects model to produce exactly 1 response, use generate stream")
        ask.model = named[1]
        return ask

    def reply_id(self, reply: Reply) -> str:
        """Return a name for the record; the API has none."""
        return f"triton-{reply.number:016x}"

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the new text in each event; no event marks the end of the reply."""
        start = b'data: {"model_name":' + json_text(reply.model) + b',"model_version":"1","text_output":'
        for _, text, tokens in reply.chunks():
            yield Event("token", start + json_text(text) + b"}\n\n", tokens)
        if reply.include_usage:
            yield Event("finish", start + b'"","details":' + orjson.dumps(reply_details(reply)) + b"}\n\n")

    def whole(self, reply: Reply) -> bytes:
        """Return the text, and details if requested, in MindIE's form."""
        body: dict[str, Any] = {"model_name": reply.model, "model_version": "1"}
        body["text_output"] = "".join(reply.reasoning) + reply.text
        return orjson.dumps(body | ({"details": reply_details(reply)} if reply.include_usage else {}))

    def error(self, refused: Refused) -> bytes:
        """Return the body that goes with an error status."""
        if refused.status == 404:
            return orjson.dumps({"error": "Request for unknown model: it is not found"})
        return orjson.dumps({"error": refused.message})

    def error_event(self, refused: Refused) -> bytes:
        """Return the event that reports an error inside a stream."""
        return b"data: " + self.error(refused) + b"\n\n"


TRITON = MockTriton()


def about(method: bytes, path: str, models: Sequence[str]) -> tuple[int, bytes] | None:
    """Return (status, body) for paths of metadata; None for other paths."""
    if path == "/v2" and method == b"GET":
        return 200, orjson.dumps({"name": "triton", "version": "2.51.0", "extensions": ["generate"]})
    if path == "/v2/repository/index" and method == b"POST":
        listed = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in models]
        return 200, orjson.dumps(listed)
    named = MODEL.fullmatch(path) if method == b"GET" else None
    return None if named is None else _about_model(named[1], ready=named[2] is not None, models=models)


def _about_model(name: str, *, ready: bool, models: Sequence[str]) -> tuple[int, bytes]:
    if name not in models:
        words = "Model version not ready" if ready else f"Request for unknown model: '{name}' is not found"
        return 400, orjson.dumps({"error": words})
    if ready:
        return 200, b""
    inputs = [{"name": entry, "datatype": "BYTES", "shape": [-1, 1]} for entry in INPUTS]
    return 200, orjson.dumps({"name": name, "versions": ["1"], "platform": "mock", "inputs": inputs})
