"""The mock server's OpenAI endpoints, chat and completions, with messages like those of vLLM.

Shapes: https://platform.openai.com/docs/api-reference/chat and vLLM's `entrypoints/openai`.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import orjson

from aisb_mock._replies import Ask, Dialect, Event, Refused, Reply

LIKELY = -1.0
"""A token of a prompt with a higher log-probability than this is the likeliest one."""
DONE = Event("end", b"data: [DONE]\n\n")
CACHED_TEXTS = 100_000
_json_texts: dict[str, bytes] = {}


def json_text(text: str) -> bytes:
    """Return a text as JSON, cached because words are repeated."""
    known = _json_texts.get(text)
    if known is None:
        known = orjson.dumps(text)
        if len(_json_texts) < CACHED_TEXTS:
            _json_texts[text] = known
    return known


class OpenAI(Dialect):
    """What both endpoints have in common."""

    id_prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]
    not_offered: ClassVar[tuple[str, ...]] = ()
    """Parameters of the API that this server refuses."""

    def read(self, data: Mapping[str, Any], path: str) -> Ask:  # noqa: ARG002 - the body has everything
        """Translate the body of a request."""
        if whole_number(data, "n", 1) != 1 or whole_number(data, "best_of", 1) != 1:
            raise Refused(400, "n and best_of must be 1: this server gives one choice")
        for name in self.not_offered:
            if data.get(name) not in (None, False):
                raise Refused(400, f"{name} is not offered by this server")
        scores: Literal["prompt_logprobs", "echo"] | None = None
        if data.get("prompt_logprobs") is not None or data.get("echo"):
            scores = "echo" if data.get("echo") else "prompt_logprobs"
            if data.get("stream"):
                raise Refused(400, "log-probabilities of a prompt are not offered in a stream")
        prompt, key, tokens = self.read_prompt(data)
        options = data.get("stream_options") or {}
        stop = data.get("stop") or []
        stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list) else (stop,)
        if not all(isinstance(text, str) for text in stops):
            raise Refused(400, f"stop must be a text or a list of texts, got {stop!r}.")
        return Ask(
            prompt=prompt,
            key=key,
            prompt_tokens=tokens,
            model=data.get("model"),
            max_tokens=whole_number(data, "max_completion_tokens", None, least=1)
            or whole_number(data, "max_tokens", None, least=0 if scores == "echo" else 1),
            min_tokens=whole_number(data, "min_tokens", 0) or 0,
            ignore_eos=bool(data.get("ignore_eos")),
            stop=stops,
            seed=whole_number(data, "seed", None),
            stream=bool(data.get("stream")),
            include_usage=bool(isinstance(options, Mapping) and options.get("include_usage")),
            scores=scores,
            tools=tuple(tool for tool in data.get("tools") or () if isinstance(tool, Mapping)),
        )

    @abstractmethod
    def read_prompt(self, data: Mapping[str, Any]) -> tuple[str, str, int]:
        """Return the prompt's text, the part that identifies the question, and its number of tokens."""

    def reply_id(self, reply: Reply) -> str:
        """Return the id in all events of a reply."""
        return f"{self.id_prefix}{reply.number:016x}"

    def error(self, refused: Refused) -> bytes:
        """Return the body that goes with an error status."""
        return orjson.dumps({"error": self._error(refused)})

    def error_event(self, refused: Refused) -> bytes:
        """Return the event that reports an error inside a stream, and the end of the stream."""
        return b"data: " + self.error(refused) + b"\n\n" + DONE.data

    def start(self, reply: Reply) -> bytes:
        """Return the common beginning of all events of a reply."""
        head = {"id": self.reply_id(reply), "object": self.chunk_object}
        return b"data: " + orjson.dumps(head | {"created": reply.created, "model": reply.model})[:-1]

    def usage_event(self, reply: Reply, start: bytes) -> Event:
        """Return the event with token counts, which has no choices."""
        return Event("usage", start + b',"choices":[],"usage":' + orjson.dumps(usage(reply)) + b"}\n\n")

    def whole_reply(
        self,
        reply: Reply,
        choice: Mapping[str, Any],
        logprobs: Mapping[str, Any] | None = None,
        top: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the body of a reply with its only choice, and other top-level fields."""
        reason = "tool_calls" if reply.tool else reply.finish_reason
        body = {
            "id": self.reply_id(reply),
            "object": self.whole_object,
            "created": reply.created,
            "model": reply.model,
            "choices": [{"index": 0, **choice, "logprobs": logprobs, "finish_reason": reason}],
        }
        return orjson.dumps(body | ({"usage": usage(reply)} if reply.usage else {}) | dict(top or {}))

    @staticmethod
    def _error(refused: Refused) -> Mapping[str, Any]:
        return {"message": refused.message, "type": refused.kind, "param": None, "code": refused.status}


class Chat(OpenAI):
    """`POST /v1/chat/completions`."""

    separates_reasoning = True
    calls_tools = True
    not_offered = ("logprobs", "top_logprobs", "echo")
    id_prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def read_prompt(self, data: Mapping[str, Any]) -> tuple[str, str, int]:
        """Return the text of all messages; the last one identifies the question."""
        messages = data.get("messages")
        if not isinstance(messages, list) or not messages:
            raise Refused(400, "messages: a list of at least one message is required")
        texts = []
        extras = 0
        for message in messages:
            content = message.get("content") if isinstance(message, Mapping) else None
            if isinstance(content, list):
                parts = [part for part in content if isinstance(part, Mapping)]
                extras += sum(part.get("type") != "text" for part in parts)
                content = "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
            if content is not None and not isinstance(content, str):
                raise Refused(400, "messages: content must be a text or a list of parts")
            texts.append(content or "")
        prompt = "\n".join(texts)
        return prompt, texts[-1], len(prompt.split()) + extras

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield the role, each chunk, the finish reason, the usage, and `[DONE]`."""
        start = self.start(reply) + b',"choices":[{"index":0,"delta":{'
        close = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        yield Event("role", start + b'"role":"assistant","content":""' + close)
        content = start + b'"content":'
        reasoning = start + json_text(reply.reasoning_field) + b":"
        if reply.tool:
            call = {"id": reply.tool.id, "type": "function", "index": 0}
            head = call | {"function": {"name": reply.tool.name, "arguments": ""}}
            yield Event("role", start + b'"tool_calls":[' + orjson.dumps(head) + b"]" + close)
            content = start + b'"tool_calls":[{"index":0,"function":{"arguments":'
        ends = b"}}]" + close if reply.tool else close
        for thinking, text, tokens in reply.chunks():
            if thinking:
                yield Event("token", reasoning + json_text(text) + close, tokens)
            else:
                yield Event("token", content + json_text(text) + ends, tokens)
        reason = json_text("tool_calls" if reply.tool else reply.finish_reason)
        yield Event("finish", start + b'"content":""},"logprobs":null,"finish_reason":' + reason + b"}]}\n\n")
        if reply.include_usage and reply.usage:
            yield self.usage_event(reply, self.start(reply))
        yield DONE

    def whole(self, reply: Reply) -> bytes:
        """Return the message with its usage."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.tool:
            function = {"name": reply.tool.name, "arguments": reply.text}
            message |= {"content": None, "tool_calls": [{"id": reply.tool.id, "type": "function"}]}
            message["tool_calls"][0]["function"] = function
        if reply.reasoning:
            message[reply.reasoning_field] = "".join(reply.reasoning)
        return self.whole_reply(reply, {"message": message}, top=by_position(reply))


class Completions(OpenAI):
    """`POST /v1/completions`."""

    id_prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def read_prompt(self, data: Mapping[str, Any]) -> tuple[str, str, int]:
        """Read a prompt: a text, or a list with one text or token list."""
        prompt = data.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
            return "", orjson.dumps(prompt).decode(), len(prompt)
        if not isinstance(prompt, str):
            raise Refused(400, "prompt: one text, or one list of token ids, is required")
        return prompt, prompt, len(prompt.split())

    def events(self, reply: Reply) -> Iterator[Event]:
        """Yield each chunk, the finish reason, the usage, and `[DONE]`; reasoning is part of the text."""
        start = self.start(reply) + b',"choices":[{"index":0,"text":'
        close = b',"logprobs":null,"finish_reason":null,"stop_reason":null}]}\n\n'
        for _, text, tokens in reply.chunks():
            yield Event("token", start + json_text(text) + close, tokens)
        reason = json_text(reply.finish_reason)
        yield Event(
            "finish", start + b'"","logprobs":null,"finish_reason":' + reason + b',"stop_reason":null}]}\n\n'
        )
        if reply.include_usage and reply.usage:
            yield self.usage_event(reply, self.start(reply))
        yield DONE

    def whole(self, reply: Reply) -> bytes:
        """Return the text with its usage."""
        said = "".join(reply.reasoning) + reply.text
        if reply.scores == "echo":
            # Like vLLM with max_tokens = 0: the usage still counts one token.
            return self.whole_reply(
                reply, {"text": "".join(token for token, _ in reply.prompt)}, echoed(reply)
            )
        return self.whole_reply(reply, {"text": said} | by_position(reply))


def by_position(reply: Reply) -> dict[str, Any]:
    """Return vLLM's `prompt_logprobs`: each token by id, and the likeliest token if it is another one."""
    if reply.scores is None:
        return {}
    positions: list[Any] = []
    for text, logprob in reply.prompt:
        likely = logprob > LIKELY
        entry = {"logprob": logprob, "rank": 1 if likely else 7, "decoded_token": text}
        position = {str(token_id(text)): entry}
        if not likely:
            position["0"] = {"logprob": LIKELY, "rank": 1, "decoded_token": "?"}
        positions.append(position)
    return {"prompt_logprobs": [None, *positions[1:]]}


def echoed(reply: Reply) -> dict[str, Any]:
    """Return the parallel lists of an echoed prompt."""
    tops = [{text if logprob > LIKELY else "?": max(logprob, LIKELY)} for text, logprob in reply.prompt]
    return {
        "tokens": [text for text, _ in reply.prompt],
        "token_logprobs": [None, *(logprob for _, logprob in reply.prompt[1:])],
        "top_logprobs": [None, *tops[1:]],
    }


def token_id(text: str) -> int:
    """Return the same id for the same text."""
    return 1 + zlib.crc32(text.encode()) % 50_000


def usage(reply: Reply) -> Mapping[str, Any]:
    """Return the token counts as the API writes them."""
    counts: dict[str, Any] = {
        "prompt_tokens": reply.prompt_tokens,
        "total_tokens": reply.prompt_tokens + reply.output_tokens,
        "completion_tokens": reply.output_tokens,
        "prompt_tokens_details": None,
    }
    if reply.reasoning:
        counts["completion_tokens_details"] = {"reasoning_tokens": len(reply.reasoning)}
    return counts


def whole_number(
    data: Mapping[str, Any], name: str, default: int | None, *, least: int | None = None
) -> int | None:
    """Return a whole number of the request; raise `Refused` for anything else under that name."""
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise Refused(
            400, f"{name} must be {'an integer' if least is None else f'at least {least}'}, got {value!r}."
        )
    return value


def model_list(models: Sequence[str], created: int, max_model_len: int | None) -> bytes:
    """Return the body of `GET /v1/models`."""
    cards = [
        {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "aisb",
            "root": models[0],
            "parent": None if name == models[0] else models[0],
            "max_model_len": max_model_len,
        }
        for name in models
    ]
    return orjson.dumps({"object": "list", "data": cards})


OPENAI: Mapping[str, Dialect] = {"/v1/chat/completions": Chat(), "/v1/completions": Completions()}
