"""Answers of a local model: the same tokens as one by one, whatever is computed together."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from hf_small import ask, ask_directly, plain, plainly, prompts, request, texts

from aisb import UsageError
from aisb_backend_hf import HFBase, HFChat

pytestmark = pytest.mark.slow  # a local model: torch alone takes six seconds of a core


@pytest.fixture(scope="module")
def expected(folder):
    asked = prompts(14)
    return asked, [plainly(folder, text) for text in asked]


@pytest.mark.parametrize("size", [1, 3, 32, "auto"])
def test_a_batch_of_mixed_lengths_has_the_same_greedy_tokens_as_one_by_one(folder, expected, size):
    asked, right = expected
    backend = HFBase(path=str(folder), batch_size=size)
    assert texts(backend, asked, temperature=0) == right
    assert backend._engine.meter.most_rows == (min(size, 14) if size != "auto" else 14)


@pytest.mark.parametrize(
    "options",
    [{"batch_padding": False}, {"max_batch_tokens": 33}, {"prefix_cache": False}, {"stream": False}],
)
def test_no_option_of_the_batch_changes_an_answer(folder, expected, options):
    asked, right = expected
    backend = HFBase(path=str(folder), **options)
    assert texts(backend, asked, temperature=0) == right
    if options == {"batch_padding": False}:
        assert backend._engine.meter.padding == 0


def test_rows_of_unlike_length_join_and_leave_without_changing_each_other(folder):
    asked = prompts(10, seed=7)
    longest = [3, 40, 7, 25, 1, 60, 2, 33, 12, 5]
    right = [plainly(folder, text, count=count) for text, count in zip(asked, longest, strict=True)]
    wanted = [
        request(number, text, temperature=0, max_tokens=count)
        for number, (text, count) in enumerate(zip(asked, longest, strict=True))
    ]
    backend = HFBase(path=str(folder), batch_size=4)
    answers = ask(backend, wanted)
    assert [answer.text for answer in answers] == right
    meter = backend._engine.meter
    assert meter.most_rows == 4
    assert (
        meter.computed < sum(longest) + meter.prompts + meter.padding
    )  # nothing is computed for a row that ended
    assert meter.padding < 0.1 * meter.computed


def test_shared_beginnings_are_computed_once_and_change_nothing(folder):
    start = "few shots: " + " ".join(prompts(1, least=90, most=90, seed=5)) + " "
    asked = prompts(8, seed=8, most=20, start=start)
    backend = HFBase(path=str(folder))
    assert texts(backend, asked, temperature=0) == [plainly(folder, text) for text in asked]
    meter = backend._engine.meter
    assert meter.reused > 7 * 80
    assert meter.prompts < 8 * 40 + 120


class Gate:
    """What keeps the model's thread waiting until it is opened, and is dropped then as a cancelled request."""

    def __init__(self):
        self.opened = threading.Event()

    @property
    def cancelled(self):
        assert self.opened.wait(60)
        return True


def ask_together(backend, requests):
    """Ask all before the model looks at one of them, however busy the machine is."""

    async def all_of_them():
        await backend.probe()
        gate = Gate()
        backend._engine._scheduler.submit(gate)
        tasks = [
            asyncio.create_task(ask_directly(backend, one, clock=time.perf_counter_ns)) for one in requests
        ]
        await asyncio.sleep(0)  # each has handed its request over
        gate.opened.set()
        try:
            return await asyncio.gather(*tasks)
        finally:
            await backend.aclose()

    return asyncio.run(all_of_them())


def test_repeats_of_a_sample_share_its_prompt(folder):
    (text,) = prompts(1, least=60, most=60)
    backend = HFBase(path=str(folder))
    wanted = [request(number, text, temperature=1, seed=number) for number in range(8)]
    answers = ask_together(backend, wanted)
    assert len({answer.text for answer in answers}) > 1
    assert backend._engine.meter.prompts < 2 * 60
    assert answers[-1].usage.cached_tokens > 50


def test_a_stop_string_ends_an_answer_before_it(folder):
    (text,) = prompts(1)
    whole = plainly(folder, text, count=40)
    stop = whole[8:12]
    (answer,) = ask(
        HFBase(path=str(folder)), [request(0, text, temperature=0, max_tokens=40, stop=[stop, "~~~"])]
    )
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finish_reason == "stop"


def test_an_answer_ends_at_its_longest_and_says_so(folder):
    (answer,) = ask(HFBase(path=str(folder)), [request(0, "the sky", temperature=0, max_tokens=5)])
    assert answer.finish_reason == "length"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 5)


def test_an_end_token_ends_an_answer_and_stays_unsaid_unless_it_is_ignored(folder):
    words = plain(folder)[1]
    text = "the sky is"
    whole = words(plainly(folder, text, count=12))["input_ids"]
    end = whole[3]
    first = words.decode(whole[: whole.index(end)])
    (answer,) = ask(HFBase(path=str(folder)), [request(0, text, temperature=0, stop_token_ids=[end])])
    assert (answer.text, answer.finish_reason) == (first, "stop")
    (answer,) = ask(
        HFBase(path=str(folder)),
        [request(0, text, temperature=0, stop_token_ids=[end], ignore_eos=True, max_tokens=12)],
    )
    assert answer.usage.output_tokens == 12
    (answer,) = ask(
        HFBase(path=str(folder)), [request(0, text, temperature=0, stop_token_ids=[end], min_tokens=9)]
    )
    assert answer.usage.output_tokens >= 9


def test_a_seed_draws_the_same_again_and_another_one_differs(folder):
    asked = prompts(6)
    first = texts(HFBase(path=str(folder)), asked, temperature=1.0, seed=3)
    assert texts(HFBase(path=str(folder), batch_size=2), asked, temperature=1.0, seed=3) == first
    assert texts(HFBase(path=str(folder)), asked, temperature=1.0, seed=4) != first


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0.7, "top_k": 1},
        {"temperature": 1.0, "top_p": 1e-6},
        {"temperature": 1.0, "min_p": 1.0},
        {"do_sample": False, "temperature": 5.0},
        {},
    ],
)
def test_a_choice_among_one_is_the_likeliest(folder, params):
    asked = prompts(3)
    assert texts(HFBase(path=str(folder)), asked, **params) == [plainly(folder, text) for text in asked]


def test_a_draw_follows_the_probabilities(folder):
    import torch

    model, words = plain(folder)
    ids = words("the sky", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        share = torch.softmax(model(ids).logits[0, -1] / 2.0, -1)
    best = int(share.argmax())
    wanted = [request(n, "the sky", temperature=2.0, seed=n, max_tokens=1) for n in range(400)]
    answers = ask(HFBase(path=str(folder)), wanted)
    said = [words.decode([token]) for token in range(len(share))]  # several tokens are no whole character
    expected = sum(float(part) for part, text in zip(share, said, strict=True) if text == said[best])
    drawn = sum(answer.text == said[best] for answer in answers) / 400
    assert drawn == pytest.approx(expected, abs=4 * (0.25 / 400) ** 0.5)


def test_penalties_are_those_of_transformers_and_of_services(folder):
    import torch

    model, words = plain(folder)
    text = prompts(1)[0]
    ids = words(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        out = model.generate(ids, max_new_tokens=20, do_sample=False, repetition_penalty=1.8, pad_token_id=0)
    right = words.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    assert texts(HFBase(path=str(folder)), [text], temperature=0, repetition_penalty=1.8) == [right]
    from types import SimpleNamespace

    from aisb_backend_hf._sampling import SamplingParams, choose

    logits = torch.tensor([[1.0, 4.0, 3.5, 3.2]])
    for sampling, best in (
        (SamplingParams(presence_penalty=0.7), 2),  # 4 - 0.7 < 3.5
        (SamplingParams(presence_penalty=0.4), 1),
        (SamplingParams(frequency_penalty=0.4), 2),  # said twice
        (SamplingParams(frequency_penalty=0.2), 1),
    ):
        row = SimpleNamespace(sampling=sampling, prompt=[2], generated=[1, 1], generator=None)
        assert choose(logits.clone(), [row]).tokens == [best]


def test_messages_go_through_the_chat_template(folder):
    turns = [("system", "be brief"), ("user", "how many apples?")]
    text = "<|system|>be brief<|end|><|user|>how many apples?<|end|><|assistant|>"
    assert texts(HFChat(path=str(folder)), [turns], temperature=0) == [plainly(folder, text, special=False)]


def test_another_chat_template_takes_the_place_of_the_tokenizers_own(folder, tmp_path):
    file = tmp_path / "plain.jinja"
    file.write_text("{% for message in messages %}Q: {{ message.content }}\nA:{% endfor %}")
    for given in (str(file), file.read_text()):
        answer = texts(HFChat(path=str(folder), chat_template=given), [[("user", "the sea")]], temperature=0)
        assert answer == [plainly(folder, "Q: the sea\nA:", special=False)]


def test_the_templates_end_of_turn_ends_an_answer(folder):
    backend = HFChat(path=str(folder))
    (answer,) = ask(backend, [request(0, [("user", "the sea")], temperature=0)])
    assert answer.failure is None
    assert plain(folder)[1].convert_tokens_to_ids("<|end|>") in backend._engine._ends


def test_token_ids_are_asked_as_they_are(folder):
    from aisb import Request

    ids = tuple(plain(folder)[1]("the sky is")["input_ids"])
    asked = Request("0", tokens=ids, params={"max_tokens": 20, "temperature": 0})
    (answer,) = ask(HFBase(path=str(folder)), [asked])
    assert answer.text == plainly(folder, "the sky is")


def test_tokens_are_stamped_as_they_come_one_chunk_each(folder):
    (answer,) = ask(HFBase(path=str(folder)), [request(0, "the sky", temperature=0, max_tokens=9)])
    timing = answer.timing
    assert len(timing.chunk_ns) == 9
    assert list(timing.chunk_tokens) == [1] * 9
    assert list(timing.chunk_ns) == sorted(set(timing.chunk_ns))
    assert timing.sent_ns < timing.chunk_ns[0] <= timing.chunk_ns[-1] <= timing.done_ns
    assert timing.streamed
    (whole,) = ask(
        HFBase(path=str(folder), stream=False), [request(0, "the sky", temperature=0, max_tokens=9)]
    )
    assert (whole.text, len(whole.timing.chunk_ns), whole.timing.streamed) == (answer.text, 1, False)


def test_characters_of_several_tokens_come_whole(folder):
    from aisb_backend_hf._stopping import Spelling

    words = plain(folder)[1]
    text = "naïve 火车 🙂 end"
    ids = words(text)["input_ids"]
    spelling = Spelling(lambda some: words.backend_tokenizer.decode(some), [])
    pieces = [spelling.add(one) for one in ids]
    assert "".join(pieces) + spelling.rest() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_stop_string_is_found_over_several_tokens_and_its_beginning_is_held_back():
    from aisb_backend_hf._stopping import Stops

    stops = Stops(["\nQuestion:", "END"])
    assert [stops.add(piece) for piece in ("12", "\nQues", "t no", " E", "N", "D and more")] == [
        "12", "", "\nQuest no", " ", "", "",
    ]  # fmt: skip
    assert stops.stopped


def test_beam_search_is_refused(folder):
    with pytest.raises(UsageError) as refused:
        HFBase(path=str(folder)).check_params({"num_beams": 4})
    assert str(refused.value) == (
        "params.num_beams = 4: beam search is not supported, as no service streams it; omit the parameter"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [("temprature", "temperature"), ("max_length", "max_tokens"), ("nonsense", "")],
)
def test_a_parameter_that_the_model_does_not_honour_is_refused_by_the_command(folder, tmp_path, name, near):
    words = ["--models", "hf-base", "--set", f"model.path={folder}", "--set", f"params.{name}=1"]
    ended = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "demo_gsm8k", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"params.{name}: the backend hf-base does not send it" in ended.stderr
    assert (f"did you mean '{near}'?" in ended.stderr) == bool(near)
    assert f"it was set by --set params.{name}" in ended.stderr
    assert not list(tmp_path.glob("outputs/default/2*"))


def test_names_of_transformers_mean_the_same(folder):
    HFBase(path=str(folder)).check_params({"max_new_tokens": 3, "num_beams": 1, "do_sample": True})
    (answer,) = ask(HFBase(path=str(folder)), [request(0, "the sky", max_tokens=None, max_new_tokens=3)])
    assert answer.usage.output_tokens == 3
