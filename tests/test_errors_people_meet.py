"""What people really meet when they ask a service, and the line that tells them what to do about it."""

import json
import socket
import subprocess
import sys
import time

import pytest
from scripted import chunked, sized

from aisb import Request, ServiceError
from aisb_backend_vllm import VLLMChat
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._load.attempts import is_retryable
from aisb_engine._spec import Timeouts

TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
LOGIN = b"<html><head><title>Sign in</title></head><body>Please sign in</body></html>"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"It"},"finish_reason":null}]}\n\n'
DONE = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def refusal(status, message, **headers):
    body = json.dumps({"error": {"message": message, "type": "x", "code": status}}).encode()
    more = b"".join(f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in headers.items())
    return [sized(body, status=b"%d X" % status, more=more)]


async def attempt(url, timeouts=None, **options):
    backend = VLLMChat(url=url, model="m", **options)
    limits = Timeouts(**(timeouts or {}))
    transport = open_transport(backend, TransportSettings(timeouts=limits, clock=time.monotonic_ns, limit=1))
    try:
        return await ask(backend, transport, Request("17", text="6 x 7?"))
    finally:
        await transport.aclose()


TABLE = {
    "a missing or wrong key": (
        refusal(401, "Incorrect API key provided"),
        "HTTP 401: Incorrect API key provided; give the right key with --api-key-env",
        False,
    ),
    "a forbidden model": (
        refusal(403, "This project may not use m"),
        "HTTP 403: This project may not use m; the service does not allow it: check what the key may use, or give one with --api-key-env",
        False,
    ),
    "a wrong path": (
        [sized(b'{"detail":"Not Found"}', status=b"404 Not Found")],
        "HTTP 404: Not Found; check url, path and the name of the model",
        False,
    ),
    "a prompt that is too long": (refusal(400, TOO_LONG), f"HTTP 400: {TOO_LONG}", False),
    "too many requests": (
        refusal(429, "Rate limit reached", Retry_After=7),
        "HTTP 429: Rate limit reached",
        True,
    ),
    "a timeout behind a proxy": (
        [sized(b"upstream request timeout", b"text/plain", b"500 X")],
        "HTTP 500: upstream request timeout",
        True,
    ),
    "a bad gateway in HTML": (
        [sized(b"<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>", b"text/html", b"502 X")],
        "HTTP 502: 502 Bad Gateway nginx",
        True,
    ),
    "a model that is loading": (refusal(503, "Loading model"), "HTTP 503: Loading model", True),
    "a traceback": (
        refusal(
            500, 'Traceback (most recent call last):\n  File "x.py", line 1\nRuntimeError: out of memory\n'
        ),
        "HTTP 500: RuntimeError: out of memory",
        True,
    ),
    "a redirect": (
        [sized(b"", status=b"307 X", more=b"Location: https://elsewhere/v1\r\n")],
        "HTTP 307: the service redirects to https://elsewhere/v1; set url to that",
        False,
    ),
    "a stream that ends early": (
        chunked(EVENT),
        "the stream ended without a finish reason or [DONE]",
        True,
    ),
    "a connection that breaks": (
        [*chunked(EVENT, end=False), "close"],
        "the connection was closed in the middle of the reply",
        True,
    ),
    "an event that is not JSON": (
        chunked(EVENT, b'data: {"choices":[{\n\n'),
        "the reply is not JSON: '{\"choices\":[{'",
        True,
    ),
    "an error inside a stream": (
        chunked(EVENT, b'data: {"error":{"message":"CUDA out of memory","code":500}}\n\n'),
        "the service reports an error inside its reply: CUDA out of memory",
        True,
    ),
    "HTML in place of JSON": (
        [sized(LOGIN, b"text/html")],
        f"the reply is a web page instead of JSON: {LOGIN.decode()!r}; is url the address of the service?",
        True,
    ),
    "an empty reply": ([sized(b"")], "the reply is empty", True),
    "a stream that says nothing": (
        chunked(b"data: [DONE]\n\n"),
        "the reply is empty: the stream has no events with data",
        True,
    ),
    "a reply whose message is null": (
        [sized(b'{"choices":[{"message":null}]}')],
        'the reply holds no answer: \'{"choices":[{"message":null}]}\'',
        True,
    ),
    "a reply with usage alone": (
        [sized(b'{"usage":{"completion_tokens":5}}')],
        'the reply holds no answer: \'{"usage":{"completion_tokens":5}}\'',
        True,
    ),
    "a reply with an empty text and no finish reason": (
        [sized(b'{"choices":[{"message":{"content":""}}]}')],
        'the reply holds no answer: \'{"choices":[{"message":{"content":""}}]}\'',
        True,
    ),
    "a stream with a role alone": (
        chunked(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', b"data: [DONE]\n\n"),
        "the reply holds no answer: the stream has no text, reasoning, tool call or finish reason",
        True,
    ),
    "another encoding": (
        [sized('{"choices":[{"message":{"content":"ä"}}]}'.encode("latin-1"))],
        'the reply is not UTF-8: \'{"choices":[{"message":{"content":"\ufffd"}}]}\'',
        True,
    ),
    "a server that stops sending": (
        [*chunked(EVENT, end=False), "silence"],
        "nothing came for 0.2 s in the middle of the reply (load.timeouts.between_bytes)",
        True,
    ),
    "a server that never answers": (
        ["silence"],
        "no first byte within 0.2 s (load.timeouts.first_byte)",
        True,
    ),
}


@pytest.mark.parametrize("carrier", ["native", "httpx"])
@pytest.mark.parametrize("name", TABLE)
async def test_what_goes_wrong_is_said_in_one_line_and_tried_again_where_that_helps(serve, name, carrier):
    script, line, again = TABLE[name]
    server = await serve([script])
    patience = {"first_byte": 0.2, "between_bytes": 0.2} if "silence" in script else {}
    made = await attempt(server.url, patience, transport=carrier)
    assert (made.failure.message, is_retryable(made.failure)) == (line, again)
    assert made.failure.retry_after == (7 if name == "too many requests" else None)
    assert made.text in ("", "It")


@pytest.mark.parametrize("carrier", ["native", "httpx"])
async def test_an_event_of_several_megabytes_is_read(serve, carrier):
    server = await serve([chunked(EVENT.replace(b"It", b"x" * 5_000_000), DONE)])
    made = await attempt(server.url, transport=carrier)
    assert (len(made.text), made.failure) == (5_000_000, None)


async def test_a_refused_connection_asks_whether_the_service_runs():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        made = await attempt(f"http://{place}")
        with pytest.raises(ServiceError, match="refused the connection; is the service running, and on this"):
            await VLLMChat(url=f"http://{place}").probe()
    line = f"{place} refused the connection; is the service running, and on this port?"
    assert (made.failure.message, is_retryable(made.failure)) == (line, True)


async def test_a_name_that_does_not_resolve_asks_for_its_spelling():
    made = await attempt("http://no-such-host.invalid:80")
    assert made.failure.message.startswith("the host name of no-such-host.invalid:80 cannot be resolved (")
    assert made.failure.message.endswith("); check the spelling of url")


async def test_a_certificate_that_is_not_trusted_says_how_to_trust_it(serve, server_tls):
    server = await serve([[sized(b"{}")]], tls=server_tls)
    made = await attempt(server.url)
    assert made.failure.message.endswith("; name its authority with ca_file, or set verify = false")


async def test_a_wrong_model_name_is_told_with_the_names_that_are_served(serve):
    server = await serve([[sized(b'{"data": [{"id": "qwen3-8b"}, {"id": "qwen3-32b"}]}')]])
    with pytest.raises(ServiceError) as caught:
        await VLLMChat(url=server.url, model="qwen3-8B").probe()
    first, second, third = str(caught.value).splitlines()
    assert first.endswith("/v1/models does not list a model 'qwen3-8B'; did you mean 'qwen3-8b'?")
    assert second == "  it serves: qwen3-32b, qwen3-8b"
    assert third == "  to use a name that is served without being listed: --set model.check_model=false"


def test_ctrl_c_that_a_library_turns_into_its_own_error_is_ctrl_c():
    code = """
import click, pydantic_core
from aisb_cli.main import main
@click.command()
def broken():
    raise pydantic_core.SchemaError("Error building the schema: KeyboardInterrupt")
main([], command=broken, name="broken")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
