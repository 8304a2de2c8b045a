"""When memory runs out the batch is halved and goes on, and nothing is lost."""

import asyncio
import time
from functools import lru_cache

import pytest
from hf_small import plain, plainly, prompts, request

from aisb import Request
from aisb_backend_hf import HFBase
from aisb_backend_hf._loading import Loaded
from aisb_engine._load.direct import ask_directly

pytestmark = pytest.mark.slow  # a local model: torch alone takes six seconds of a core


@lru_cache
def small():
    """Return the class of models; torch is imported by the first test, and not where tests are collected."""
    import torch
    from transformers import LlamaForCausalLM

    class Small(LlamaForCausalLM):
        """A model whose memory holds so many tokens at a time: those of a computation and those kept before it."""

        most = 10**9
        refused = 0

        def forward(self, input_ids=None, past_key_values=None, **more):
            kept = past_key_values.get_seq_length() if past_key_values is not None else 0
            if input_ids.shape[0] * (input_ids.shape[1] + kept) > self.most:
                type(self).refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().forward(input_ids=input_ids, past_key_values=past_key_values, **more)

    return Small


class Ready(HFBase):
    """The backend with a model that is there already."""

    def with_model(self, folder, most):
        from aisb_backend_hf._engine import LocalEngine, Settings

        model = small().from_pretrained(folder, dtype="float32").eval()
        tokenizer = plain(folder)[1]
        loaded = Loaded(model, tokenizer, 512, frozenset(), {}, 0.0)
        self._engine = LocalEngine(loaded, Settings(batch_size=self.batch_size), lambda: self.clock())
        model.most = most
        return self


def answers(backend, requests):
    async def run():
        calls = (ask_directly(backend, one, clock=time.perf_counter_ns) for one in requests)
        try:
            return await asyncio.gather(*calls)
        finally:
            await backend.aclose()

    return asyncio.run(run())


def test_out_of_memory_halves_the_batch_and_nothing_is_lost(folder):
    asked = prompts(12, most=40)
    backend = Ready(path=str(folder), batch_size=12).with_model(folder, 260)
    made = answers(backend, [request(n, text, temperature=0) for n, text in enumerate(asked)])
    assert [one.text for one in made] == [plainly(folder, text) for text in asked]
    assert [len(one.timing.chunk_ns) for one in made] == [20] * 12  # no token is said twice
    meter = backend._engine.meter
    assert meter.out_of_memory >= 1
    assert meter.limit < 12


def test_sampled_answers_go_on_where_they_were(folder):
    asked = prompts(8, most=40)
    wanted = [request(n, text, temperature=1, seed=n) for n, text in enumerate(asked)]
    right = answers(Ready(path=str(folder), batch_size=8).with_model(folder, 10**9), wanted)
    backend = Ready(path=str(folder), batch_size=8).with_model(folder, 260)
    assert [one.text for one in answers(backend, wanted)] == [one.text for one in right]
    assert backend._engine.meter.out_of_memory >= 1


def test_a_request_that_does_not_fit_alone_fails_and_the_others_do_not(folder):
    long = " ".join(prompts(1, least=150, most=150))
    wanted = [
        request(0, "the sky", temperature=0),
        request(1, long, temperature=0),
        request(2, "a fox", temperature=0),
    ]
    first, failed, last = answers(Ready(path=str(folder), batch_size=4).with_model(folder, 100), wanted)
    assert (first.failure, last.failure) == (None, None)
    assert first.text == plainly(folder, "the sky")
    assert failed.failure.kind == "refused"
    assert "out of memory with this single request (" in failed.failure.message
    assert " tokens): CUDA out of memory" in failed.failure.message
    assert "shorten the prompt (model.max_seq_len, model.truncate)" in failed.failure.message


def test_scores_are_computed_in_smaller_batches_when_memory_runs_out(folder):
    contexts = prompts(10, most=30)
    wanted = [Request(str(n), text=text, continuations=(" blue", " sea")) for n, text in enumerate(contexts)]
    right = answers(Ready(path=str(folder)).with_model(folder, 10**9), wanted)
    backend = Ready(path=str(folder)).with_model(folder, 90)
    made = answers(backend, wanted)
    for one, other in zip(made, right, strict=True):
        assert one.failure is None
        for a, b in zip(one.logprobs, other.logprobs, strict=True):
            assert abs(a.total - b.total) < 1e-3
    assert backend._engine.meter.out_of_memory >= 1


def test_the_batch_grows_by_itself_while_there_is_memory(folder):
    asked = prompts(40, most=12)
    backend = Ready(path=str(folder), batch_size="auto").with_model(folder, 10**9)
    made = answers(backend, [request(n, text, temperature=0, max_tokens=30) for n, text in enumerate(asked)])
    assert all(one.failure is None for one in made)
    assert backend._engine.meter.most_rows > 16


def test_a_request_that_is_given_up_leaves_the_batch(folder):
    async def run():
        backend = Ready(path=str(folder), batch_size=4).with_model(folder, 10**9)
        given_up = asyncio.create_task(
            ask_directly(
                backend, request(0, "the sky", temperature=0, max_tokens=400), clock=time.perf_counter_ns
            )
        )
        await asyncio.sleep(0.2)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        other = await ask_directly(
            backend, request(1, "a fox", temperature=0, max_tokens=5), clock=time.perf_counter_ns
        )
        left = list(backend._engine._scheduler._generation.rows)
        await backend.aclose()
        return other, left

    other, left = asyncio.run(run())
    assert other.failure is None
    assert left == []


def test_a_model_whose_answers_change_in_a_batch_is_asked_one_row_at_a_time(folder):
    from transformers import LlamaForCausalLM

    from aisb_backend_hf._engine import LocalEngine, Settings

    class Odd(LlamaForCausalLM):
        """A model that does not look at where its tokens stand in a batch."""

        def forward(
            self, input_ids=None, position_ids=None, attention_mask=None, past_key_values=None, **more
        ):
            del position_ids, attention_mask
            return super().forward(input_ids=input_ids, past_key_values=past_key_values, **more)

    model = Odd.from_pretrained(folder, dtype="float32").eval()
    loaded = Loaded(model, plain(folder)[1], 512, frozenset(), {}, 0.0)
    backend = HFBase(path=str(folder))
    backend._engine = LocalEngine(loaded, Settings(), lambda: backend.clock())
    assert not backend._engine.abilities.batched
    assert (
        backend._engine.notes[1] == "this model's answers change in a batch: it answers one request at a time"
    )
    asked = prompts(4)
    made = answers(backend, [request(n, text, temperature=0) for n, text in enumerate(asked)])
    assert [one.text for one in made] == [plainly(folder, text) for text in asked]
    backend = HFBase(path=str(folder))
    backend._engine = LocalEngine(loaded, Settings(), lambda: backend.clock())
    (scored,) = answers(backend, [Request("0", text="the sky", continuations=(" is blue", " is"))])
    assert scored.failure is None
    assert scored.logprobs[0].total < scored.logprobs[1].total
