"""The suites for plugin authors: a sound backend passes, and each kind of mistake is found."""

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from minimal import Chat

from aisb import PerformanceResult, Reporter
from aisb._backend import HttpBackend, HttpCall
from aisb._types import Chunk, Usage
from aisb_testing import check_backend, check_plugin, check_reporter
from aisb_testing._made_runs import REQUESTS, measured


@dataclass(kw_only=True, eq=False)
class Sound(HttpBackend):
    """TGI's API, streamed, in as few lines as will do."""

    prompt_form: ClassVar = "text"

    def encode(self, request):
        return HttpCall("/generate_stream", {"inputs": request.text, "parameters": {"details": True}})

    def decode(self, event):
        token, details = event.get("token", {}), event.get("details") or {}
        text = "" if token.get("special") else token.get("text", "")
        if not details:
            return Chunk("content", text)
        reason = {"eos_token": "stop"}.get(details["finish_reason"], details["finish_reason"])
        usage = Usage(output_tokens=details.get("generated_tokens"))
        kind = "finish" if token.get("special") else "content"
        return Chunk(kind, finish_reason=reason, usage=usage, whole=event["generated_text"])


def found(factory):
    """Return what the suite says of a backend that is not sound."""
    with pytest.raises(AssertionError) as caught:
        check_backend(factory)
    return str(caught.value)


def test_a_sound_backend_passes_every_exchange():
    names = check_backend(Sound)
    assert {"plain", "N = 1", "not streamed", "cut mid-stream", "an event of 1 MB", "status 429"} <= set(
        names
    )


def test_a_chat_backend_is_tried_with_reasoning_and_tool_calls():
    assert "tool call in one chunk" in check_backend(Chat)


class Doubled(Sound):
    def decode(self, event):
        chunk = super().decode(event)
        return chunk._replace(text=event["generated_text"], whole=None) if chunk.whole else chunk


class NoReason(Sound):
    stream_end: ClassVar = "close"

    def decode(self, event):
        chunk = super().decode(event)
        return chunk._replace(finish_reason="stop" if chunk.finish_reason else None)


class SpecialTokenCounts(Sound):
    def decode(self, event):
        chunk = super().decode(event)
        return chunk._replace(kind="content") if chunk.kind == "finish" else chunk


class WrongUsage(Sound):
    def decode(self, event):
        chunk = super().decode(event)
        return chunk._replace(usage=Usage(output_tokens=0)) if chunk.usage else chunk


class BlindToErrors(Sound):
    def error_message(self, status, body):
        return "something went wrong"


class SilentOnGarbage(Sound):
    """Takes whatever came for the answer."""

    def finalize(self, prediction, request):
        return replace(prediction, failure=None)


class Dropping(Sound):
    params: ClassVar = frozenset({"temperature", "mood"})


class Hiding(Sound):
    params: ClassVar = frozenset()

    def encode(self, request):
        call = super().encode(request)
        return call._replace(body={**call.body, "heat": request.params.get("temperature")})


class Forgetful(Sound):
    def encode(self, request):
        call = super().encode(request)
        return call._replace(body={**call.body, **request.params})


class Passing(Forgetful):
    params: ClassVar = frozenset({"mood", "temperature"})


class Choosy(Sound):
    params: ClassVar = "any"


class Honest(Sound):
    params: ClassVar = frozenset({"mood", "temperature", "num_return_sequences"})

    def encode(self, request):
        call = super().encode(request)
        params = {name: request.params[name] for name in ("mood", "temperature") if name in request.params}
        return call._replace(body={**call.body, **params})


class Renaming(Honest):
    """Translates names by a table, which has those that it declares and no others."""

    params = frozenset({"temperature"})

    def encode(self, request):
        call = super().encode(replace(request, params={}))
        names = {"temperature": "heat"}
        return call._replace(
            body={**call.body, **{names[name]: value for name, value in request.params.items()}}
        )


def test_a_backend_that_declares_what_it_sends_passes():
    assert "parameters" in check_backend(Honest)
    assert "parameters" in check_backend(Passing)
    assert "parameters" in check_backend(Renaming)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Dropping, "parameters: params declares temperature, which does not change the request"),
        (Dropping, "parameters: params declares mood, which does not change the request"),
        (Hiding, "parameters: temperature is sent, and params does not declare it"),
        (Forgetful, "parameters: it sends every parameter that it gets and declares none; write params ="),
        (Choosy, 'parameters: params is "any", and aisb_made_up is not sent; declare the set of names'),
        (Doubled, "plain: the text is 'It is 42, I am quite sure of itIt is 42"),
        (NoReason, "cut by length: the finish reason is 'stop', not 'length'"),
        (SpecialTokenCounts, "plain: 11 chunks hold tokens, not 10"),
        (WrongUsage, "plain: 0 output tokens in the usage, not 10"),
        (
            BlindToErrors,
            "status 503: the failure's message lacks 'the model is loading': HTTP 503: something",
        ),
        (SilentOnGarbage, "cut mid-stream: it is treated as an answer"),
    ],
)
def test_a_mistake_is_found_and_named(factory, words):
    assert words in found(factory)


def test_a_path_that_nothing_is_known_of_asks_for_a_dialect():
    class Elsewhere(Sound):
        def encode(self, request):
            return HttpCall("/say", {"inputs": request.text})

    with pytest.raises(AssertionError, match="the mock server has no endpoint /say; give check_backend a di"):
        check_backend(Elsewhere)


def test_options_reach_the_factory():
    with pytest.raises(TypeError, match="unexpected keyword argument 'mood'"):
        check_backend(Sound, mood="calm")


def test_a_plugin_of_this_project_keeps_the_contract():
    assert "backend sim" in check_plugin("aisb-backend-sim")


def test_an_evaluator_that_asks_a_judge_keeps_the_contract():
    assert any(line.startswith("evaluator ") for line in check_plugin("aisb-evaluator-judge"))


@pytest.mark.parametrize(
    ("name", "part"),
    [("aisb", "importer lm-eval"), ("aisb-analysis", "command audit"), ("aisb_mock", "command mock")],
)
def test_plugins_with_commands_and_importers_keep_the_contract(name, part):
    assert part in check_plugin(name)


def test_what_is_no_plugin_is_said():
    with pytest.raises(AssertionError, match="no installed distribution or module 'pluggy' has an entry"):
        check_plugin("pluggy")


def first_party():
    root = Path(__file__).parents[2]
    for file in sorted([*root.glob("*/pyproject.toml"), *root.glob("plugins/*/*/pyproject.toml")]):
        project = tomllib.loads(file.read_text("utf-8"))["project"]
        if {"aisb", "aisb.commands"} & project.get("entry-points", {}).keys():
            yield project["name"]


@pytest.mark.parametrize("name", list(first_party()))
def test_every_plugin_of_this_project_keeps_the_contract(name):
    assert check_plugin(name)


class OnePage(Reporter):
    def report(self, run):
        return []

    def report_several(self, runs, folder):
        file = folder / "one.txt"
        file.write_text("".join(f"{run.timestamp} {len(run.performance)}\n" for run in runs))
        return [file]


class MeanLatency(OnePage):
    """Reads a latency without asking whether there is one."""

    def report_several(self, runs, folder):
        for run in runs:
            for result in run.performance.values():
                assert result.stages[0].parameters["TTFT"].median > 0
        return super().report_several(runs, folder)


class ElsewhereWritten(OnePage):
    def report_several(self, runs, folder):
        return super().report_several(runs, runs[0].folder)


class Promised(Reporter):
    default_for = frozenset({"several"})

    def report(self, run):
        return []


def test_a_reporter_of_several_runs_shows_them_too():
    names = check_reporter(OnePage())
    assert names[2:] == ["several runs", "one of several runs", "several runs, one without replies"]


@pytest.mark.parametrize(
    ("reporter", "says"),
    [
        (MeanLatency, "several runs, one without replies: it raises AttributeError: 'NoneType' object"),
        (ElsewhereWritten, "one.txt, which is not in the folder that it was given"),
        (Promised, "`default_for` has 'several', and it has no method `report_several`"),
    ],
)
def test_mistakes_of_a_reporter_of_several_runs_are_found(reporter, says):
    with pytest.raises(AssertionError) as caught:
        check_reporter(reporter())
    assert says in str(caught.value)


def test_a_reporter_of_one_run_is_not_asked_for_several():
    class Single(Reporter):
        def report(self, run):
            return []

    assert check_reporter(Single()) == ["a run with results", "a run without results"]


@pytest.mark.parametrize("users", [1, 4])
def test_made_up_performance_runs_have_every_column_that_is_documented(users):
    result = measured(users)
    documented = set(re.findall(r"`(\w+)`", PerformanceResult.requests.__doc__)) - {"UnknownName"}
    assert documented <= set(result.requests())
    assert all(len(column) == REQUESTS for column in result.requests().values())
    assert [row for row, _ in result.chunk_gaps([2, 5])] == [2, 5]
