"""Traces of sessions become one graph of turns: who waits for whom, how long, and what their prompts share."""

import base64
import gzip
import json
import os
from pathlib import Path

import pytest

from aisb import DataError, DataFile, DataFiles, Part, Sample, UsageError
from aisb_dataset_traces._conversations import endpoints_sessions, sharegpt_sessions
from aisb_dataset_traces._graph import SeenParts
from aisb_dataset_traces._mooncake_sessions import mooncake_sessions
from aisb_dataset_traces._otel import otel_sessions
from aisb_dataset_traces._session_rows import session_rows
from aisb_dataset_traces._weka import weka_sessions
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._load.session_facts import left_out_line, prefix_cache_share
from aisb_engine._resolve.config import RunInput, resolve
from aisb_testing import make_png


@pytest.fixture
def files(tmp_path):
    """Return the data files with these contents: texts, or rows of JSON."""

    def make(*contents):
        made = []
        for number, content in enumerate(contents):
            path = tmp_path / f"trace-{number}.jsonl"
            text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
            path.write_text(text, "utf-8", newline="")
            made.append(DataFile(path))
        return DataFiles(made)

    return make


def share(sessions):
    seen, held, total = SeenParts(), 0, 0
    for session in sessions:
        more = seen.add(session)
        held, total = held + more[0], total + more[1]
    return held / total


def edges(session):
    return [(turn.parent, turn.after, turn.delay, turn.continues) for turn in session.turns]


# ---- Mooncake


def moon(at, tokens, ids, **more):
    return {"timestamp": at, "input_length": tokens, "output_length": 8, "hash_ids": ids, **more}


def test_rows_that_continue_an_earlier_prompt_are_its_next_turns(files):
    rows = [
        moon(0, 1100, [0, 1, 2]),  # two complete blocks
        moon(500, 700, [0, 5]),  # the system prompt in block 0 alone is no continuation
        moon(3000, 2000, [0, 1, 6, 7]),
        moon(4000, 600, [0, 8]),
        moon(9000, 2100, [0, 1, 6, 9, 10]),
    ]
    sessions = list(mooncake_sessions(files(rows), block=512))
    assert [session.name for session in sessions] == ["line-1", "line-2", "line-4"]
    assert edges(sessions[0]) == [(None, (), 0.0, False), (0, (), 3.0, True), (1, (), 6.0, True)]
    assert [turn.shared for turn in sessions[0].turns] == [0, 2, 3]


def test_the_share_of_a_cache_without_a_limit_is_that_of_leading_known_blocks(files):
    rows = [moon(0, 1000, [0, 1]), moon(1, 1024, [0, 2]), moon(2, 1300, [0, 2, 3]), moon(3, 100, [4])]
    # known: nothing, 512 of block 0, 1,024 of blocks 0 and 2, nothing
    assert share(mooncake_sessions(files(rows), block=512)) == (512 + 1024) / (1000 + 1024 + 1300 + 100)
    again = [moon(0, 700, [0, 1]), moon(1, 700, [0, 1])]  # a part of a block counts as far as it goes
    assert share(mooncake_sessions(files(again), block=512)) == 700 / 1400


def test_rows_with_a_session_id_are_its_turns_and_wait_as_they_say(files):
    rows = [
        {"session_id": "a", "input_length": 40, "output_length": 8, "timestamp": 0},
        {"session_id": "b", "input_length": 16, "output_length": 8, "timestamp": 250},
        {"session_id": "a", "input_length": 10, "output_length": 8, "delay": 1500},
        {"session_id": "b", "input_length": 16, "output_length": 8, "timestamp": 1000},
    ]
    first, second = mooncake_sessions(files(rows), block=16)
    assert edges(first) == [(None, (), 0.0, False), (0, (), 1.5, True)]
    assert [turn.input_tokens for turn in first.turns] == [40, 58], "40 + the reply of 8 + 10"
    assert edges(second) == [(None, (), 0.0, False), (0, (), 0.75, True)]
    (first, _) = mooncake_sessions(files(rows), block=16, longest_delay=0.5)
    assert first.turns[1].delay == 0.5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"session_id": ["a"]}, r"line 2: session_id is \['a'\], not a text"),
        ({"delay": "soon"}, "line 2: delay is 'soon', not a number of milliseconds"),
        ({"timestamp": -1}, "line 2: timestamp is -1, not a number of milliseconds"),
        ({"timestamp": 1}, "line 2: timestamp 1 is earlier than that of the turn before it in session 'a'"),
        ({"input_length": 0}, "line 2: input_length is 0, not a whole number of at least 1"),
        ({"hash_ids": [1, 2]}, "line 2: 2 hash_ids do not fit input_length 40"),
    ],
)
def test_a_mooncake_row_that_is_wrong_is_named(files, row, message):
    good = {"session_id": "a", "input_length": 40, "output_length": 8, "timestamp": 5}
    with pytest.raises(DataError, match=rf"trace-0.jsonl, {message}"):
        list(mooncake_sessions(files([good, good | row]), block=512))


def test_rows_without_a_session_must_be_in_order(files):
    with pytest.raises(DataError, match=r"line 2: the trace is out of order: this request is 1.5 s earlier"):
        list(mooncake_sessions(files([moon(2000, 10, [0]), moon(500, 10, [1])]), block=512))


# ---- Weka


def ask(t, tokens, ids, spent=0.1, **more):
    return {"t": t, "type": "s", "in": tokens, "out": 5, "hash_ids": ids, "api_time": spent, **more}


def weka(*requests, **more):
    return {"id": "s1", "block_size": 64, "hash_id_scope": "local", "requests": list(requests)} | more


def subagent(t, *requests, name="a"):
    return {"t": t, "type": "subagent", "agent_id": name, "requests": list(requests)}


def test_agents_below_the_main_one_run_in_parallel_and_are_joined(files):
    trace = weka(
        ask(0, 130, [0, 1, 2]),
        subagent(0.2, ask(0.2, 64, [7], 0.05), ask(0.3, 128, [7, 8], 0.05)),
        subagent(0.2, ask(0.2, 64, [9], 0.05), name="b"),
        ask(0.5, 300, [0, 1, 3, 4, 5]),
    )
    (session,) = weka_sessions(files(json.dumps(trace)))
    assert edges(session) == [
        (None, (), 0.0, False),
        (0, (), 0.1, False),
        (0, (), 0.1, False),
        (1, (), 0.05, True),
        (0, (2, 3), 0.15, True),
    ]


def test_times_of_an_agent_may_count_from_its_start(files):
    absolute = weka(ask(0, 64, [0]), subagent(10, ask(10, 64, [7]), ask(12, 64, [8])))
    relative = weka(ask(0, 64, [0]), subagent(10, ask(0, 64, [7]), ask(2, 64, [8])))
    found = [
        [turn.at for turn in next(weka_sessions(files(json.dumps(trace)))).turns]
        for trace in (absolute, relative)
    ]
    assert found == [[0, 10, 12]] * 2


def test_the_delay_is_what_the_service_did_not_take(files):
    trace = weka(
        ask(0, 64, [0], 2.0), ask(5, 128, [0, 1], None, think_time=1.5), ask(20, 192, [0, 1, 2], None)
    )
    (session,) = weka_sessions(files(json.dumps(trace)))
    # 5 - 2 s after the end; as `think_time` says where it is given; else all of the time between the two
    assert [turn.delay for turn in session.turns] == [0.0, 1.5, 15.0]


def test_hash_ids_of_two_traces_are_the_same_block_only_if_they_are_global(files):
    local, everywhere = ([weka(ask(0, 64, [0]), hash_id_scope=scope, id=name) for name in "ab"] for scope in ("local", "global"))  # fmt: skip
    assert share(weka_sessions(files(local))) == 0.0
    assert share(weka_sessions(files(everywhere))) == 0.5


def test_a_trace_may_be_a_whole_file_or_a_line(files):
    pretty = json.dumps(weka(ask(0, 64, [0])), indent=1)
    assert (
        len(list(weka_sessions(files(pretty, [weka(ask(0, 64, [0])), weka(ask(0, 64, [0]), id="s2")])))) == 3
    )


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ([], "a trace has the key 'requests' with a list of objects"),
        ({"id": "s"}, "'requests' with a list of objects; its keys are: id"),
        (weka(id=3), "id is 3, not the name of the session"),
        (weka(), "the trace 's1' has no request"),
        (weka(block_size=0), "block_size is 0"),
        (weka(hash_id_scope="mine"), "hash_id_scope is 'mine', not 'local' or 'global'"),
        (weka({"in": 1, "out": 1}), "request 0 has no time 't'; its keys are: in, out"),
        (weka(ask(0, 64, ["x"])), r"hash_ids is \['x'\], not a list of whole numbers"),
        (weka(ask(0, 64, [-1])), "request 0: hash id -1 is not between 0 and"),
        (weka(subagent(1, {"in": 1, "out": 1})), "request 0, inner request 0 has no time 't'"),
    ],
)
def test_a_weka_trace_that_is_wrong_is_named(files, trace, message):
    with pytest.raises(DataError, match=rf"trace-0.jsonl, line 2: .*{message}"):
        list(weka_sessions(files([weka(ask(0, 64, [0])), trace])))


def test_a_file_that_is_no_json_is_named_with_its_line(files):
    with pytest.raises(DataError, match=r"trace-0.jsonl, line 3: not JSON"):
        list(weka_sessions(files('{\n"id": "s",\nrequests}')))
    with pytest.raises(DataError, match=r"trace-0.jsonl, line 2: not JSON"):
        list(weka_sessions(files(json.dumps(weka(ask(0, 64, [0]))) + "\n{torn\n")))


# ---- OpenTelemetry


def span(name, begin, end, parent="", **attributes):
    kinds = {int: "intValue", str: "stringValue"}
    return {
        "traceId": "t1",
        "spanId": name,
        "parentSpanId": parent,
        "name": name,
        "startTimeUnixNano": str(int(begin * 1e9) + 10**18),
        "endTimeUnixNano": str(int(end * 1e9) + 10**18),
        "attributes": [
            {"key": key.replace("__", "."), "value": {kinds[type(value)]: str(value)}} for key, value in attributes.items()
        ],
    }  # fmt: skip


def chat(name, begin, end, parent="", **attributes):
    return span(name, begin, end, parent, gen_ai__operation__name="chat", **attributes)


def otlp(*spans):
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def agent(name, begin, end, parent=""):
    return span(name, begin, end, parent, gen_ai__operation__name="invoke_agent")


def lengths(tokens, output=9):
    return {"gen_ai__usage__input_tokens": tokens, "gen_ai__usage__output_tokens": output}


def test_spans_below_an_agent_are_the_turns_of_that_agent(files):
    spans = otlp(
        agent("main", 0, 9),
        chat("c1", 0, 1, "main", **lengths(100)),
        span("tool", 1, 5, "main", gen_ai__operation__name="execute_tool"),
        agent("a", 1.5, 4, "tool"),
        chat("a1", 1.5, 2.0, "a", **lengths(50)),
        chat("a2", 2.5, 3.0, "a", **lengths(80)),
        agent("b", 1.5, 4, "tool"),
        chat("b1", 1.5, 3.5, "b", **lengths(50)),
        chat("c2", 5, 6, "main", **lengths(200)),
    )
    (session,) = otel_sessions(files([spans]))
    assert session.name == "t1"
    assert edges(session) == [
        (None, (), 0.0, False),
        (0, (), 0.5, False),
        (0, (), 0.5, False),
        (1, (), 0.5, True),
        (0, (2, 3), 1.5, True),
    ]
    assert [turn.input_tokens for turn in session.turns] == [100, 50, 50, 80, 200]


def said(role, text):
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def test_messages_of_spans_are_sent_with_their_calls_of_tools(files):
    call = {"type": "tool_call", "id": "c1", "name": "ls", "arguments": {"path": "."}}
    result = {"type": "tool_call_response", "id": "c1", "response": "a.py"}
    history = [
        said("user", "list the files"),
        {"role": "assistant", "parts": [call]},
        {"role": "tool", "parts": [result]},
    ]
    system = json.dumps([{"type": "text", "content": "be brief"}])
    texts = [
        {"gen_ai__input__messages": json.dumps(messages), "gen_ai__system_instructions": system, "gen_ai__conversation__id": "k"}
        for messages in (history[:1], history)
    ]  # fmt: skip
    (session,) = otel_sessions(
        files([otlp(chat("c1", 0, 1, **texts[0])), otlp(chat("c2", 3, 4, **texts[1]))])
    )
    assert session.name == "k"
    assert edges(session) == [(None, (), 0.0, False), (0, (), 2.0, True)]
    assert [(one.role, one.content) for one in session.turns[0].messages] == [("system", "be brief"), ("user", "list the files")]  # fmt: skip
    called, answered = session.turns[1].messages
    assert called.tool_calls == ({"id": "c1", "name": "ls", "arguments": '{"path": "."}'},)
    assert (answered.role, answered.content, answered.tool_call_id) == ("tool", "a.py", "c1")


PICTURE = make_png(3, 2)
OTHERS = [
    {"type": "uri", "modality": "image", "uri": "gs://bucket/a.png"},
    {"type": "uri", "modality": "image", "uri": "file:///etc/passwd"},
    {"type": "file", "modality": "image", "mime_type": "image/png", "file_id": "file-7"},
    {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
    {"type": "blob", "modality": "audio", "content": base64.b64encode(b"unknown").decode()},
    {"type": "blob", "mime_type": "application/pdf", "content": base64.b64encode(b"%PDF").decode()},
    {"type": "reasoning", "content": "hm"},
    {"type": "reasoning", "content": "hm, hm"},
    {"type": "robot", "content": "x"},
]


def seen(*more):
    blob = {
        "type": "blob",
        "modality": "image",
        "mime_type": "image/jpeg",
        "content": base64.b64encode(PICTURE).decode(),
    }
    text = [{"type": "text", "content": one} for one in ("what is", "this,", "and this?")]
    return {"role": "user", "parts": [*text[:2], blob, text[2], {"type": "uri", "modality": "image", "uri": "https://x/y.png"}, *more]}  # fmt: skip


def test_images_of_spans_are_sent_in_their_place_with_the_type_of_their_bytes(files):
    sound = {"type": "blob", "modality": "audio", "mime_type": "audio/mpeg", "content": base64.b64encode(b"ID3").decode()}  # fmt: skip
    messages = json.dumps([seen(), said("assistant", "no"), {"role": "user", "parts": [sound]}])
    (session,) = otel_sessions(files([otlp(chat("c1", 0, 1, gen_ai__input__messages=messages))]))
    first, _, last = session.turns[0].messages
    assert first.content == (
        Part("text", "what is\nthis,"),
        Part("image", f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"),
        Part("text", "and this?"),
        Part("image", "https://x/y.png"),
    )
    assert last.content == (Part("audio", "data:audio/mpeg;base64,SUQz"),)
    assert (session.left_out, session.turns[0].sizes) == ({}, (22, 2, 0))


def test_parts_of_spans_that_cannot_be_sent_are_counted_once_by_reason(files):
    histories = [[seen(*OTHERS)], [seen(*OTHERS), said("assistant", "no"), said("user", "look again")]]
    spans = [
        chat(f"c{at}", at, at + 1, gen_ai__input__messages=json.dumps(history))
        for at, history in enumerate(histories)
    ]
    (session,) = otel_sessions(files([otlp(*spans)]))
    assert edges(session) == [(None, (), 0.0, False), (0, (), 0.0, True)]
    assert session.left_out == {
        "image addresses that begin with gs:, which a service cannot open": 1,
        "image addresses that begin with file:, which a service cannot open": 1,
        "image files at the provider, of which the trace has the id only": 1,
        "image content whose bytes are not in the trace": 1,
        "audio content without a mime_type": 1,
        "content of the kind 'application'": 1,
        "reasoning": 2,
        "parts of the type 'robot'": 1,
    }
    (row,) = session_rows([session], None)
    assert left_out_line([Sample("0", row)]) == (
        "left out of the recorded messages: 2 parts (reasoning), "
        + ", ".join(f"1 part ({reason})" for reason in session.left_out if reason != "reasoning")
    )
    assert left_out_line([Sample("0", {"turns": []})]) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (otlp(chat("c", 0, 1, gen_ai__input__messages=json.dumps([{"role": "user", "parts": [{"type": "blob", "modality": "image", "content": "iVBOR*"}]}]))), "the content of a blob is not base64: 'iVBOR.'"),
        ({"spans": []}, "a document of traces has the key 'resourceSpans'"),
        (otlp(), "no span is a request to a model: gen_ai.operation.name is one of chat"),
        (otlp(chat("c", 2, 1, **lengths(5))), "span 'c' ends before it begins"),
        (otlp(chat("c", 0, 1)), "span 'c': it has neither gen_ai.input.messages nor gen_ai.usage.input_tokens"),
        (otlp(chat("c", 0, 1, gen_ai__usage__input_tokens="many")), "input_tokens is 'many', not a number"),
        (otlp(chat("c", 0, 1, gen_ai__input__messages="hello")), "messages is 'hello', not a list in JSON"),
        (otlp(chat("c", 0, 1, gen_ai__input__messages="[]")), "gen_ai.input.messages is empty"),
        (otlp(chat("c", 0, 1, gen_ai__input__messages='[{"role": "user"}]')), "a message has a role and a list of parts"),
        (otlp(chat("c", 0, 1) | {"endTimeUnixNano": "late"}), "endTimeUnixNano is 'late', not a number of nanoseconds"),
        (otlp(chat("c", 0, 1) | {"attributes": ["x"]}), "an attribute has a key and a value, this one is x"),
    ],
)  # fmt: skip
def test_a_document_of_spans_that_is_wrong_is_named(files, document, message):
    with pytest.raises(DataError, match=rf"trace-0.jsonl, line 1: .*{message}"):
        list(otel_sessions(files([document])))


def traced(folder, *, structured):
    """Write a conversation as OpenTelemetry's own SDK does: an agent, its calls of a model, a tool, a helper."""
    file_exporter = pytest.importorskip(
        "opentelemetry.exporter.otlp.json.file.trace_exporter",
        reason="needs opentelemetry-sdk and opentelemetry-exporter-otlp-json-file",
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

    path, second = folder / "spans.jsonl", 1_000_000_000
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(file_exporter.FileSpanExporter(path)))
    tracer = provider.get_tracer("agent")
    value = (lambda one: one) if structured else json.dumps
    operations = names.GenAiOperationNameValues

    def span(operation, begin, end, parent=None, **attributes):
        given = {getattr(names, f"GEN_AI_{key.upper()}"): one for key, one in attributes.items()}
        given |= {names.GEN_AI_OPERATION_NAME: operation.value, names.GEN_AI_CONVERSATION_ID: "talk"}
        context = trace.set_span_in_context(parent) if parent else None
        made = tracer.start_span(operation.value, context, attributes=given, start_time=int(begin * second))
        later.append((made, int(end * second)))
        return made

    from opentelemetry import trace

    later = []
    call = {"type": "tool_call", "id": "c1", "name": "ls", "arguments": {"path": ".", "depth": 2}}
    history = [said("user", "list the files"), {"role": "assistant", "parts": [call]},
               {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a.py"}]}]  # fmt: skip
    system = value([{"type": "text", "content": "be brief"}])
    root = span(operations.INVOKE_AGENT, 100, 120)
    for begin, messages, tokens in ((101, history[:1], 40), (104, history, 60)):
        span(operations.CHAT, begin, begin + 1, root, system_instructions=system, input_messages=value(messages),
             usage_input_tokens=tokens, usage_output_tokens=7)  # fmt: skip
    span(operations.EXECUTE_TOOL, 102, 103, root)
    helper = span(operations.INVOKE_AGENT, 106, 110, root)
    span(
        operations.CHAT, 107, 108, helper, input_messages=value([said("user", "help")]), usage_output_tokens=3
    )
    for made, end in reversed(later):
        made.end(end)
    provider.shutdown()
    return path


@pytest.mark.parametrize("structured", [False, True], ids=["as texts in JSON", "as lists"])
def test_a_file_that_the_sdk_of_opentelemetry_writes_is_a_session(tmp_path, structured):
    path = traced(tmp_path, structured=structured)
    assert len(path.read_text().splitlines()) == 6
    (session,) = otel_sessions(DataFiles([DataFile(path)]))
    assert session.name == "talk"
    assert edges(session) == [(None, (), 0.0, False), (0, (), 2.0, True), (1, (), 2.0, False)]
    first, second, third = session.turns
    assert [(one.role, one.content) for one in first.messages] == [
        ("system", "be brief"),
        ("user", "list the files"),
    ]
    called, answered = second.messages
    assert json.loads(called.tool_calls[0]["arguments"]) == {"path": ".", "depth": 2}
    assert (answered.role, answered.content, answered.tool_call_id) == ("tool", "a.py", "c1")
    assert [(one.role, one.content) for one in third.messages] == [("user", "help")]
    assert [(turn.input_tokens, turn.output_tokens) for turn in session.turns] == [
        (40, 7),
        (60, 7),
        (None, 3),
    ]


# ---- conversations


def test_a_sharegpt_conversation_is_a_session(files):
    rows = [{"id": "k", "conversations": [{"from": who, "value": text} for who, text in
            (("system", "be brief"), ("human", "hello"), ("gpt", "hi"), ("human", "bye"))]}]  # fmt: skip
    (session,) = sharegpt_sessions(files(json.dumps(rows)))
    assert session.name == "0-k"
    assert edges(session) == [(None, (), 0.0, False), (0, (), 0.0, True)]
    assert [(one.role, one.content) for one in session.turns[1].messages] == [
        ("assistant", "hi"),
        ("user", "bye"),
    ]
    assert share([session]) == len("be briefhello") / len("be briefhello" * 2 + "hibye")


def said_by(turn, role, name="c", **more):
    return {"conversation_id": name, "turn": turn, "role": role, **({"content": f"text {turn}"} | more)}


def test_rows_of_the_user_and_of_tools_are_the_turns_of_an_endpoints_conversation(files):
    call = {"id": "f:0", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    rows = [
        said_by(1, "user", system="be brief", tools=[{"type": "function", "function": {"name": "ls"}}]),
        said_by(2, "assistant", content=None, tool_calls=[call]),
        said_by(3, "tool", content=None, tool_results=[{"tool_call_id": "f:0", "content": "a.py"}], delay_seconds=0.25),
        said_by(4, "assistant"),
        said_by(5, "user", max_new_tokens=7),
        said_by(1, "user", name="d"),
    ]  # fmt: skip
    first, second = endpoints_sessions(files(rows))
    assert (first.name, second.name) == ("c", "d")
    assert edges(first) == [(None, (), 0.0, False), (0, (), 0.25, True), (1, (), 0.0, True)]
    assert [turn.output_tokens for turn in first.turns] == [None, None, 7]
    assert [tool["function"]["name"] for tool in first.tools] == ["ls"]
    called, answered = first.turns[1].messages
    assert called.tool_calls == ({"id": "f:0", "name": "ls", "arguments": "{}"},)
    assert (answered.role, answered.content, answered.tool_call_id) == ("tool", "a.py", "f:0")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (said_by(1, "user"), "turn 1 of conversation 'c' follows turn 1; turns are numbered 1, 2, 3"),
        (said_by(2, "boss"), "role is 'boss'; it is one of: user, assistant, tool"),
        (said_by(2, "user"), "this row of the user follows a row of the user; expected: assistant"),
        (said_by(1, "tool", name="d"), "this row of the tool is the first; expected: user"),
        (said_by(2, "assistant", content=3), "content is '3', not a text"),
        (said_by(2, "assistant", content="\ud83d"), "content has half of a surrogate pair"),
        (said_by(2, "assistant", tool_calls=[{}]), "a tool call has a function with a name"),
        (said_by(1, "user", name=["c"]), "conversation_id is .*, not a text"),
    ],
)
def test_an_endpoints_row_that_is_wrong_is_named(files, row, message):
    with pytest.raises(DataError, match=rf"trace-0.jsonl, line 2: .*{message}"):
        list(endpoints_sessions(files([said_by(1, "user"), row])))


def test_rows_of_one_conversation_stand_together(files):
    rows = [said_by(1, "user"), said_by(1, "user", name="d"), said_by(2, "assistant")]
    with pytest.raises(DataError, match="line 3: the rows of conversation 'c' are not consecutive"):
        list(endpoints_sessions(files(rows)))


# ---- the tasks


@pytest.fixture
def prompts(plugins, tmp_path):
    """Return the turns of each session of a task over a file, and its samples."""

    def make(name, text, **options):
        path = tmp_path / "trace.json"
        path.write_text(text, "utf-8")
        sets = [
            f"task.dataset.{key}={json.dumps(value)}" for key, value in {"path": str(path), **options}.items()
        ]
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name], sets=sets)).tasks.values()
        folders = DataFolders([tmp_path])
        samples = load_samples(task, plugins, folders)
        renderer = Renderer(task, plugins, folders)
        return [renderer.turns(sample) for sample in samples], samples

    return make


def test_prompts_share_the_blocks_that_they_shared(prompts):
    trace = weka(
        ask(0, 130, [0, 1, 2]),
        ask(1, 300, [0, 1, 3, 4, 5]),
        ask(2, 64, [0]),
        ask(3, 400, [0, 1, 3, 4, 6, 7, 8]),
    )
    (turns,), samples = prompts("weka_sessions", json.dumps(trace))
    words = [turn.messages()[0].content.split() for turn in turns]
    assert [len(one) for one in words] == [130, 300, 64, 400]
    assert words[1][:128] == words[0][:128]
    assert words[1][128:130] != words[0][128:130]
    assert words[2] == words[0][:64]
    assert words[3][:256] == words[1][:256]
    assert words[3][256:300] != words[1][256:300]
    # known: 0, 128, 64, 256 tokens
    assert prefix_cache_share(samples.samples) == ((128 + 64 + 256) / (130 + 300 + 64 + 400), "tokens")
    assert samples.samples[0].fields["turns"].pool.values


def test_a_turn_that_continues_adds_what_is_new_to_a_real_reply(prompts):
    trace = weka(ask(0, 128, [0, 1]), ask(1, 200, [0, 1, 2, 3]), ask(2, 64, [9]))
    (turns,), _ = prompts("weka_sessions", json.dumps(trace))
    (added,) = turns[1].added()
    assert len(added.content.split()) == 200 - 128 - 5
    assert turns[2].added is None, "another context"


def test_another_nonce_makes_other_prompts(prompts):
    def first(**options):
        (turns,), _ = prompts("weka_sessions", json.dumps(weka(ask(0, 64, [0]))), **options)
        return turns[0].messages()[0].content

    assert first(nonce="a") == first(nonce="a") != first(nonce="b")


@pytest.mark.parametrize(
    "name", ["mooncake_sessions", "weka_sessions", "otel_sessions", "endpoints_sessions"]
)
def test_a_longest_delay_is_not_negative(prompts, name):
    with pytest.raises(UsageError, match="longest_delay = -1 must be at least 0"):
        prompts(name, "{}", longest_delay=-1)


def test_a_block_has_a_token(prompts):
    with pytest.raises(UsageError, match="block = 0 must be at least 1"):
        prompts("mooncake_sessions", "{}", block=0)


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize("name", ["conversation", "synthetic"])
def test_the_share_of_the_published_traces_is_that_of_their_hash_ids(name):
    folder = Path(os.environ["AISB_DATA"]) / "mooncake_trace"
    path = next(folder.glob(f"{name}_trace.jsonl*"))
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    seen, held, total = set(), 0, 0
    for line in text.splitlines():
        row = json.loads(line)
        known = next((n for n, one in enumerate(row["hash_ids"]) if one not in seen), len(row["hash_ids"]))
        held += min(512 * known, row["input_length"])
        total += row["input_length"]
        seen.update(row["hash_ids"])
    found = share(mooncake_sessions(DataFiles([DataFile(path)]), block=512))
    assert abs(found - held / total) < 0.001


@pytest.mark.parametrize("name", ["mooncake", "weka", "weka:lines", "otel", "sharegpt:small", "endpoints"])
def test_data_that_is_not_there_is_named_with_its_source(plugins, tmp_path, name):
    task, _, variant = name.partition(":")
    selected = f"{task}_sessions{':' if variant else ''}{variant}"
    (found,) = resolve(plugins, RunInput(models=["sim"], datasets=[selected])).tasks.values()
    with pytest.raises(DataError, match=r"no data for (.|\n)*the data comes from "):
        load_samples(found, plugins, DataFolders([tmp_path]))
