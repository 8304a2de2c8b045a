"""Log-likelihoods of a local model: in batches, with shared beginnings, and equal to what plain code computes."""

import pytest
from hf_small import ask, plain, plain_scores, prompts

from aisb import Message, Request
from aisb_backend_hf import HFBase, HFChat

pytestmark = pytest.mark.slow  # a local model: torch alone takes six seconds of a core


def asked(contexts, options):
    return [Request(str(n), text=text, continuations=options) for n, text in enumerate(contexts)]


OPTIONS = (" blue", " the answer is 16 .", " a fox runs over seven hills", " sea")


@pytest.mark.parametrize(
    "options",
    [{}, {"prefix_cache": False}, {"max_batch_tokens": 40}, {"batch_padding": False}],
    ids=["as it is", "nothing kept", "small batches", "no padding"],
)
@pytest.mark.parametrize("start", ["", "few shots: " + " ".join(prompts(1, least=80, most=80, seed=5)) + " "])
def test_options_are_scored_as_one_by_one(folder, options, start):
    contexts = prompts(9, seed=2, start=start)
    answers = ask(HFBase(path=str(folder), **options), asked(contexts, OPTIONS))
    for context, answer in zip(contexts, answers, strict=True):
        assert answer.failure is None, answer.failure
        for option, text in zip(answer.logprobs, OPTIONS, strict=True):
            total, tokens, greedy, whole = plain_scores(folder, context, text)
            assert option.total == pytest.approx(total, abs=1e-3)
            assert option.whole == pytest.approx(whole, abs=1e-3)
            assert (option.tokens, option.greedy, option.length) == (tokens, greedy, len(text))


def test_a_context_and_a_beginning_that_all_share_are_computed_once(folder):
    start = " ".join(prompts(1, least=80, most=80, seed=5)) + " "
    backend = HFBase(path=str(folder))
    ask(backend, asked(prompts(9, seed=2, start=start), OPTIONS))
    meter = backend._engine.meter
    words = plain(folder)[1]
    apart = sum(len(words(c + o)["input_ids"]) for c in prompts(9, seed=2, start=start) for o in OPTIONS)
    assert meter.reused > 70  # how many came before the first was computed is the machine's affair
    assert meter.computed < apart / 3
    assert meter.padding < 0.1 * meter.computed


def test_a_greedy_continuation_is_known_as_such(folder):
    from hf_small import plainly

    context = "the sky is"
    likely = plainly(folder, context, count=4)
    (answer,) = ask(HFBase(path=str(folder)), asked([context], (likely, " seven")))
    assert [option.greedy for option in answer.logprobs] == [True, False]


def test_a_text_beyond_the_window_is_scored_in_windows_each_token_once(folder):
    import torch

    text = " ".join(prompts(30, seed=3))
    (answer,) = ask(HFBase(path=str(folder), max_seq_len=64), [Request("0", text="", continuations=(text,))])
    model, words = plain(folder)
    ids = [words.bos_token_id, *words(text)["input_ids"]]
    total, told = 0.0, 1
    with torch.inference_mode():
        while told < len(
            ids
        ):  # as lm-evaluation-harness lays windows: one token of context, the last one full
            end = min(told - 1 + 64, len(ids))
            begin = end - 64
            logprobs = model(torch.tensor([ids[begin:end]])).logits[0].log_softmax(-1)
            total += sum(float(logprobs[place - 1 - begin, ids[place]]) for place in range(told, end))
            told = end
    (scored,) = answer.logprobs
    assert scored.tokens == len(ids) - 1
    assert scored.total == pytest.approx(total, abs=1e-3 * len(ids))


def test_windows_tell_every_token_after_the_first_once():
    from aisb_backend_hf._scoring import windows

    tokens = list(range(100))
    parts = windows(tokens, 30)
    assert [len(part) for part in parts] == [30, 30, 30, 30]
    assert parts[0] == tokens[:30]
    assert parts[-1] == tokens[-30:]
    assert windows(tokens, 200) == [tokens]


def test_a_context_with_options_beyond_the_window_fails_as_too_long(folder):
    long = " ".join(prompts(20, seed=4))
    backend = HFBase(path=str(folder), max_seq_len=64)
    short, failed = ask(backend, asked(["the sky", long], OPTIONS))
    assert short.failure is None
    assert failed.failure.kind == "refused"
    assert "too long: " in failed.failure.message
    assert "max_seq_len is 64; to cut the beginning: --set model.truncate=left" in failed.failure.message
    (cut,) = ask(HFBase(path=str(folder), max_seq_len=64, truncate="left"), asked([long], OPTIONS))
    assert cut.failure is None
    assert len(cut.logprobs) == 4


def test_a_chat_model_scores_options_as_its_own_turn(folder):
    request = Request("0", messages=(Message("user", "how many apples?"),), continuations=("seven", "12"))
    (answer,) = ask(HFChat(path=str(folder)), [request])
    context = "<|user|>how many apples?<|end|><|assistant|>"
    for option, text in zip(answer.logprobs, ("seven", "12"), strict=True):
        assert option.total == pytest.approx(plain_scores(folder, context, text, special=False)[0], abs=1e-3)


def test_a_beginning_that_is_kept_for_scores_changes_nothing_for_later_ones(folder):
    start = " ".join(prompts(1, least=80, most=80, seed=5)) + " "
    contexts = prompts(6, seed=6, start=start)
    backend = HFBase(path=str(folder))

    import asyncio

    async def twice():
        import time

        from aisb_engine._load.direct import ask_directly

        rounds = []
        for _ in range(2):
            calls = (
                ask_directly(backend, one, clock=time.perf_counter_ns) for one in asked(contexts, OPTIONS)
            )
            rounds.append(await asyncio.gather(*calls))
        await backend.aclose()
        return rounds

    first, second = asyncio.run(twice())
    for one, other in zip(first, second, strict=True):
        for a, b in zip(one.logprobs, other.logprobs, strict=True):
            assert a.total == pytest.approx(b.total, abs=1e-4)
            assert a.whole == pytest.approx(b.whole, abs=1e-4)


def test_perplexity_is_that_of_a_plain_forward_from_the_beginning_token_on(folder):
    from math import exp, log

    import torch

    from aisb import Sample
    from aisb_evaluator_text import Perplexity

    texts = prompts(5, seed=9, most=40)
    answers = ask(
        HFBase(path=str(folder)),
        [Request(str(n), text="", continuations=(text,)) for n, text in enumerate(texts)],
    )
    evaluator = Perplexity()
    scores = [
        evaluator.score("A", Sample(str(n), {"text": text, "logprobs": answer.logprobs}))
        for n, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
    found = {metric.name: metric.value for metric in evaluator.summarize(scores)}
    model, words = plain(folder)
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for text in texts:
            ids = words(text)["input_ids"]
            told = model(torch.tensor([[words.bos_token_id, *ids]])).logits[0, :-1].log_softmax(-1)
            total += float(told.gather(1, torch.tensor(ids)[:, None]).sum())
            tokens += len(ids)
    length, split = sum(len(text.encode()) for text in texts), sum(len(text.split()) for text in texts)
    assert found["token_perplexity"] == pytest.approx(exp(-total / tokens), rel=1e-3)
    assert found["bits_per_byte"] == pytest.approx(-total / length / log(2), abs=1e-3)
    assert found["byte_perplexity"] == pytest.approx(exp(-total / length), abs=1e-3)
    assert found["word_perplexity"] == pytest.approx(exp(-total / split), rel=1e-3)
