"""The simulated services through their ends: a child process is started, asked, and ended."""

import os
import subprocess
import sys
import time

import pytest

from aisb import Message, Request, ServiceError, UsageError
from aisb._options import options
from aisb_backend_sim import Sim, SimText
from aisb_engine._http.assembly import stream_once
from aisb_mock import Behaviour, MockOptions, start_mock


async def text_of(backend, request):
    backend.start()
    return "".join([chunk.text async for chunk in stream_once(backend, request)])


async def test_it_starts_a_server_at_the_first_question_and_ends_it_at_the_close():
    backend = Sim(tokens=8)
    assert backend._mock is None
    info = await backend.probe()
    assert info.models == ("sim",)
    assert backend.model == "sim"
    pid = backend._mock.pid
    os.kill(pid, 0)  # it is there
    request = Request("1", messages=(Message("user", "hello"),))
    assert len((await text_of(backend, request)).split()) == 8
    counted = await backend.counters()
    assert (counted["vllm:generation_tokens_total"], counted["running"]) == (8, 0)
    assert counted["prefix_cache_queries"] > counted["prefix_cache_hits"] == 0
    await backend.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ServiceError):
        await backend.probe()


async def test_streamed_and_whole_and_both_apis_say_the_same(tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question": "What does a cat say at night?", "answer": "#### 7"}\n')
    chat = Request("1", messages=(Message("user", "What does a cat say at night?"),))
    texts = set()
    for backend in (
        Sim(accuracy=1, answers=str(answers)),
        Sim(accuracy=1, answers=str(answers), stream=False),
        SimText(accuracy=1, answers=str(answers)),
        SimText(accuracy=1, answers=str(answers), stream=False),
    ):
        texts.add(await text_of(backend, chat))
        await backend.aclose()
    assert len(texts) == 1
    assert "7" in texts.pop()


async def test_the_name_of_the_model_is_free():
    backend = Sim(model="tiny")
    assert (await backend.probe()).models == ("tiny",)
    await backend.aclose()


async def test_an_address_that_is_given_is_asked_and_nothing_is_started():
    with start_mock(MockOptions(models=("other",))) as mock:
        backend = Sim(url=mock.url)
        assert (await backend.probe()).models == ("other",)
        assert backend._mock is None
        await backend.aclose()
        assert mock.running


def test_every_behaviour_of_the_mock_is_an_option_with_help():
    shown = {option.name: option for option in options(Sim)}
    assert set(Behaviour.__annotations__) <= set(shown)
    assert all(option.help for option in shown.values())
    assert shown["accuracy"].default == 0.75


def test_a_wrong_option_is_an_error_before_anything_starts():
    with pytest.raises(UsageError, match="accuracy = 2 is not a share"):
        Sim(accuracy=2)


def test_its_server_ends_when_the_program_is_killed():
    code = (
        "import asyncio, os, time\nfrom aisb_backend_sim import Sim\n"
        "from aisb_engine._http.client import connect\n"
        "backend = connect(Sim()); asyncio.run(backend.probe())\n"
        "print(backend._mock.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        pid = int(program.stdout.readline())
        program.kill()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("the server outlived the program that started it")
