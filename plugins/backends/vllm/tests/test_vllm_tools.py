"""Tool calls: taken out by the service, streamed and whole, or found in the text; adapters by sample."""

import json

import pytest

from aisb import Prediction, Request
from aisb_backend_vllm import VLLMChat
from aisb_backend_vllm._toolcalls import find_tool_calls
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts
from aisb_mock import MockOptions, start_mock

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "unit": {"type": "string"}},
        },
    },
}
ADD = {"id": None, "name": "add", "arguments": '{"a": 1}'}


@pytest.mark.parametrize(
    ("text", "calls", "left"),
    [
        ('<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>', (ADD,), ""),
        ('I add.\n<tool_call>{"name": "add", "arguments": {"a": 1}}', (ADD,), "I add."),
        ('<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>\n' * 2, (ADD, ADD), ""),
        ('[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}, "id": "x"}]', ({**ADD, "id": "x"},), ""),
        ('{"name": "add", "parameters": {"a": 1}}', (ADD,), ""),
        ('<|python_tag|>{"name": "add", "parameters": {"a": 1}}', (ADD,), ""),
        ('```json\n[{"name": "add", "arguments": "{\\"a\\": 1}"}]\n```', (ADD,), ""),
        ("It is 42.", (), "It is 42."),
        ('{"answer": 42}', (), '{"answer": 42}'),
        ('{"name": "Ann"}', (), '{"name": "Ann"}'),
        ("<tool_call>add(1)</tool_call>", (), "<tool_call>add(1)</tool_call>"),
        ("", (), ""),
    ],
)
def test_calls_are_found_in_the_forms_that_models_write(text, calls, left):
    assert find_tool_calls(text) == (calls, left)


def test_text_is_searched_only_where_tools_were_given_and_the_option_says_so():
    text = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    made = Prediction("17", text=text)
    asked = Request("17", text="x", params={"tools": [TOOL]})
    assert VLLMChat().finalize(made, asked) == made
    backend = VLLMChat(returns_tool_calls=False)
    assert backend.finalize(made, Request("17", text="x")) == made
    assert backend.finalize(made, asked).tool_calls == (ADD,)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["field", "content"])
async def test_a_call_comes_out_alike_whoever_takes_it_from_the_text(form, stream):
    with start_mock(MockOptions(tool_calls=form)) as mock:
        backend = VLLMChat(url=mock.url, stream=stream, returns_tool_calls=form == "field")
        request = Request("17", text="Add one.", params={"tools": [TOOL]})
        transport = open_transport(backend, TransportSettings(timeouts=Timeouts(), clock=lambda: 0, limit=1))
        made = await ask(backend, transport, request)
        await transport.aclose()
    assert (made.failure, made.text) == (None, "")
    (call,) = made.tool_calls
    assert call["name"] == "add"
    assert json.loads(call["arguments"]) == {"a": 1, "unit": "text"}
    assert made.finish_reason == ("tool_calls" if form == "field" else "stop")


def test_a_sample_asks_the_model_that_the_map_of_adapters_gives_it(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": "sql"}')
    backend = VLLMChat(model="base", lora_map=str(file))
    models = [backend.encode(Request(sample, text="x")).body["model"] for sample in ("17", "18")]
    assert models == ["sql", "base"]
