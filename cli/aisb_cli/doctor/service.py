"""Send a few requests to a service, and report its abilities: streaming, usage, tools, and others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aisb import AisbError, HttpBackend, Message, Prediction, Request, ServiceError, UsageError
from aisb_cli.doctor import Finding
from aisb_cli.services import CHAT_FILE, Connection, make_backend, recognize
from aisb_engine import (
    Plugins,
    ServiceClient,
    mask_secrets,
    mask_url,
    request_latency,
    sends,
)

TOKENS = 16
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def check_service(
    url: str, plugins: Plugins, *, model: str | None = None, options: Mapping[str, Any] | None = None
) -> AsyncIterator[Finding]:
    """Yield the findings about a service, from at most six short requests.

    `model` is a model file or backend; by default, the service's endpoints decide.
    """
    area = f"service {mask_url(url) if '://' in url else mask_url(f'http://{url}').removeprefix('http://')}"
    name = model
    if name is None:
        try:
            name = await recognize(url, plugins, Connection(options or {})) or CHAT_FILE
        except AisbError as error:
            yield Finding(area, "reachable", "problem", *_split(mask_secrets(str(error))))
            return
        yield Finding(area, "model file", "ok", name)
    backend = make_backend(url, plugins, name, options or {})
    try:
        async for finding in _Service(area, backend, plugins).look():
            yield finding
    finally:
        await backend.aclose()


@dataclass(slots=True)
class _Service:
    """A service under inspection."""

    area: str
    backend: HttpBackend
    plugins: Plugins

    async def look(self) -> AsyncIterator[Finding]:
        try:
            info = await self.backend.probe()
        except (ServiceError, UsageError) as error:
            yield self._problem("reachable", *_split(str(error)))
            return
        served = ", ".join(info.models[:5]) or "gives no list"
        more = f" and {len(info.models) - 5} more" if len(info.models) > 5 else ""
        yield self._ok("reachable", mask_secrets(info.detail) or "it answers")
        asked = getattr(self.backend, "model", None)
        yield self._ok("models", f"{served}{more}" + (f"; requested: {asked}" if asked else ""))
        client = ServiceClient(self.backend)
        try:
            async for finding in self._asked(client):
                yield finding
        finally:
            await client.aclose()

    async def _asked(self, client: ServiceClient) -> AsyncIterator[Finding]:
        first = await self._ask(client, "Say yes.", max_tokens=TOKENS)
        if first.failure is not None:
            remedy = "see the log of the service; its message is above"
            yield self._problem("answers", f"{first.failure.kind}: {first.failure.message}", remedy)
            return
        yield self._ok("answers", repr((first.text or first.reasoning)[:40]))
        for finding in (self._streaming(first), self._ttfb(first), self._usage(first)):
            yield finding
        yield await self._ignore_eos(client)
        if self.backend.prompt_form == "chat":
            yield await self._tools(client)
        yield await self._logprobs()

    def _streaming(self, answer: Prediction) -> Finding:
        if getattr(self.backend, "stream", True) is False:
            return self._ok("streaming", "this model file does not request it")
        if not answer.timing.streamed:
            remedy = "enable streaming in the service, and disable buffering in proxies; TTFT needs it"
            return self._problem(
                "streaming", "the reply was not streamed, although streaming was requested", remedy
            )
        count = len(answer.timing.chunk_ns)
        return self._ok("streaming", f"{count} event{'s' * (count != 1)}")

    def _ttfb(self, answer: Prediction) -> Finding:
        timing = answer.timing
        if timing.sent_ns is None or timing.headers_ns is None:
            return self._note("TTFB", "not known", "")
        times = request_latency(timing)
        first = times.ttfb if times.ttfb is not None else (timing.headers_ns - timing.sent_ns) / 1e6
        text = f"{first:.1f} ms to the first byte"
        return self._ok("TTFB", text + (f", {times.ttft:.1f} ms to the first token" if times.ttft else ""))

    def _usage(self, answer: Prediction) -> Finding:
        usage = answer.usage
        if usage is None or usage.output_tokens is None:
            remedy = (
                "for performance runs let it report usage (stream_options.include_usage), "
                "or set model.tokenizer to the model's folder"
            )
            return self._note("usage", "the service does not say how many tokens a reply has", remedy)
        given = "unknown" if usage.input_tokens is None else usage.input_tokens
        return self._ok("usage", f"input tokens {given}, output tokens {usage.output_tokens}")

    async def _ignore_eos(self, client: ServiceClient) -> Finding:
        remedy = "runs that need replies of an exact length cannot have them here"
        answer = await self._ask(client, "Say yes.", max_tokens=2 * TOKENS, ignore_eos=True)
        if answer.failure is not None:
            return self._note("ignore_eos", f"refused: {answer.failure.message}", remedy)
        tokens = answer.usage.output_tokens if answer.usage else None
        if answer.finish_reason == "length" and tokens in (None, 2 * TOKENS):
            return self._ok("ignore_eos", f"a reply of {2 * TOKENS} tokens ran to its limit")
        if answer.finish_reason is None and tokens is None:
            return self._note("ignore_eos", "not known: the service does not report why a reply ends", remedy)
        text = f"a reply of at most {2 * TOKENS} tokens ended with {answer.finish_reason}"
        return self._note("ignore_eos", text + (f" after {tokens}" if tokens else ""), remedy)

    async def _tools(self, client: ServiceClient) -> Finding:
        remedy = "for tasks with functions start vLLM with --enable-auto-tool-choice --tool-call-parser NAME"
        question = "What is the weather in Paris? Call the function."
        answer = await self._ask(client, question, max_tokens=128, tools=[TOOL], tool_choice="auto")
        if answer.failure is not None:
            return self._note("tool calls", f"refused: {answer.failure.message}", remedy)
        if answer.tool_calls:
            return self._ok("tool calls", str(answer.tool_calls[0].get("name")))
        return self._note("tool calls", "the reply had none", remedy)

    async def _logprobs(self) -> Finding:
        remedy = (
            "tasks that compare likelihoods need prompt_logprobs, as vLLM has them, or completions with echo"
        )
        backend, own = self.backend, False
        try:
            try:
                call = backend.encode_logprob([Message("user", "Yes, no")])
            except UsageError:
                backend, own = self._completions(), True
                call = backend.encode_logprob("Yes, no")
            answer = await backend.fetch(call.path, body=_body(call.body), timeout=60)
            if answer.status != 200:
                return self._note("logprobs", backend.error_message(answer.status, answer.body), remedy)
            import orjson

            scores = backend.decode_logprob(orjson.loads(answer.body))
            return self._ok("logprobs", f"of a prompt's {len(scores.tokens)} tokens")
        except Exception as error:  # noqa: BLE001 - whatever a service sends here is one line of the report
            return self._note("logprobs", str(error).splitlines()[0] if str(error) else "none", remedy)
        finally:
            if own:
                with suppress(Exception):
                    await backend.aclose()

    def _completions(self) -> HttpBackend:
        """Return a backend for the completions API of the same service."""
        given = {
            name: getattr(self.backend, name)
            for name in ("model", "api_key_env", "api_key_file", "headers", "headers_env")
        }
        return make_backend(self.backend.url, self.plugins, "vllm-completions", given)

    async def _ask(self, client: ServiceClient, text: str, **params: Any) -> Prediction:
        chat = self.backend.prompt_form == "chat"
        request = Request(
            "doctor",
            messages=(Message("user", text),) if chat else None,
            text=None if chat else text,
            params={n: v for n, v in {"temperature": 0, **params}.items() if sends(self.backend, n)},
        )
        return await client.ask(request)

    def _ok(self, name: str, text: str) -> Finding:
        return Finding(self.area, name, "ok", text)

    def _note(self, name: str, text: str, remedy: str) -> Finding:
        return Finding(self.area, name, "note", mask_secrets(text), remedy)

    def _problem(self, name: str, text: str, remedy: str = "") -> Finding:
        return Finding(self.area, name, "problem", mask_secrets(text), mask_secrets(remedy))


def _split(words: str) -> tuple[str, str]:
    """Split an error into the problem and the remedy: its further lines, or the text after its semicolon."""
    first, *others = words.splitlines()
    if others:
        return first, " ".join(line.strip() for line in others)
    wrong, _, remedy = first.partition("; ")
    return wrong, remedy


def _body(body: object) -> Mapping[str, Any] | None:
    return body if isinstance(body, Mapping) else None
