"""A real model, where AISB_HF_MODEL names its folder: the same numbers as plain transformers code."""

import os

import pytest

FOLDER = os.environ.get("AISB_HF_MODEL")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not FOLDER, reason="AISB_HF_MODEL (the folder of a real chat model) is not set"),
]

CONTEXTS = [
    "Question: Which gas do plants take in from the air?\nAnswer:",
    (
        "Question: An astronomer observes that a planet rotates faster after a meteorite impact. Which is the "
        "most likely effect of this increase in rotation?\nAnswer:"
    ),
    "The capital of France is",
]
OPTIONS = (" carbon dioxide", " Planetary days will become shorter.", " Paris", " oxygen")


def test_log_probabilities_are_those_of_plain_transformers():
    from hf_small import ask, plain_scores

    from aisb import Request
    from aisb_backend_hf import HFBase

    wanted = [Request(str(n), text=text, continuations=OPTIONS) for n, text in enumerate(CONTEXTS)]
    answers = ask(HFBase(path=FOLDER, dtype="float32"), wanted)
    for context, answer in zip(CONTEXTS, answers, strict=True):
        for option, text in zip(answer.logprobs, OPTIONS, strict=True):
            total, tokens, greedy, whole = plain_scores(FOLDER, context, text)
            assert option.total == pytest.approx(total, abs=1e-3)
            assert option.whole == pytest.approx(whole, abs=1e-3)
            assert (option.tokens, option.greedy) == (tokens, greedy)


def test_greedy_answers_are_those_of_plain_transformers():
    from hf_small import plainly, texts

    from aisb_backend_hf import HFBase

    backend = HFBase(path=FOLDER, dtype="float32")
    assert texts(backend, CONTEXTS, temperature=0) == [plainly(FOLDER, text) for text in CONTEXTS]
