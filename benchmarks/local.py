"""How fast a local model answers and scores, next to transformers' own pipeline and to lm-evaluation-harness.

    AISB_HF_MODEL=FOLDER python benchmarks/local.py [ROWS] [TOKENS] [BATCH] [ROUNDS]

All ask the same model on the same device, with the same prompts and the same batch size, greedily, each in a
process of its own, as its users run it. The prompts are of mixed length: questions of the built-in task after
none to six worked examples; for likelihoods, questions with four answers each. Tokens a second count what was
generated up to the end of each answer; loading the model and a first short answer are not counted. The
comparison with lm-evaluation-harness needs `pip install lm-eval`; without it that part is left out, visibly.
The order changes from round to round, and the best of the rounds counts.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

LIMITS = {
    "tokens": {"transformers pipeline": 1.5, "lm-eval hf": 1.2},
    "options": {"lm-eval hf": 1.0},
}
"""How many times as fast as each of the others aisb has to be."""
FOLDER = os.environ.get("AISB_HF_MODEL", "")


def main(rows, tokens, batch, rounds):
    if not FOLDER:
        print("not run: AISB_HF_MODEL names no folder of a model")
        return 0
    broken = 0
    for what, limits in LIMITS.items():
        names = ["aisb", *limits]
        if find_spec("lm_eval") is None:
            names.remove("lm-eval hf")
            print("lm-eval is not installed: left out")
        best = {}
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                told = run(what, name, rows, tokens, batch)
                if name not in best or told["rate"] > best[name]["rate"]:
                    best[name] = told
        broken += show(what, best, limits)
    return 1 if broken else 0


def run(*asked):
    """Let one of them work in a process of its own; return what it tells."""
    command = [sys.executable, __file__, "--one", *map(str, asked)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(said.splitlines()[-1])


def show(what, best, limits):
    """Print the best of each, next to its limit; return how many limits are broken."""
    ours, broken = best["aisb"], 0
    print(f"{Path(FOLDER).name}: {ours['model']}, {os.cpu_count()} cores\n{ours['about']}")
    print(f"{'aisb':22} {ours['rate']:8.1f} {what}/s   {ours['padding']:.1%} of what it computed is padding")
    for name, limit in limits.items():
        if name in best:
            ratio = ours["rate"] / best[name]["rate"]
            broken += ratio < limit
            verdict = f"{'UNDER' if ratio < limit else 'over'} the limit of {limit} x"
            print(f"{name:22} {best[name]['rate']:8.1f} {what}/s   aisb: {ratio:.2f} x   {verdict}")
            if what == "options":
                apart = [abs(a - b) for a, b in zip(ours["scores"], best[name]["scores"], strict=True)]
                print(f"log-likelihoods apart: median {statistics.median(apart):.4f}, most {max(apart):.4f}")
    return broken


def one(what, name, rows, tokens, batch):
    """Measure one of them; print what it did, as JSON."""
    rows, tokens, batch = int(rows), int(tokens), int(batch)
    from transformers import AutoTokenizer, utils

    utils.logging.set_verbosity_error()
    utils.logging.disable_progress_bar()
    words = AutoTokenizer.from_pretrained(FOLDER, padding_side="left")
    words.pad_token = words.pad_token or words.eos_token
    kind = {"aisb": Ours, "transformers pipeline": Pipeline, "lm-eval hf": Harness}[name]
    if what == "tokens":
        asked = prompts(words, rows)
        lengths = [len(words(text)["input_ids"]) for text in asked]
        about = f"{rows} prompts of {min(lengths)} to {max(lengths)} tokens, up to {tokens} tokens each"
    else:
        asked = list(questions(rows))
        about = f"{rows} questions with {len(asked[0][1])} answers each"
    contestant = kind(words, batch)
    if what == "tokens":
        contestant.answer(["Hello."], 2)
        done, seconds = timed(lambda: contestant.answer(asked, tokens))
        told = {"rate": sum(done) / seconds}
    else:
        contestant.score([("Hello,", [" world"])])
        done, seconds = timed(lambda: contestant.score(asked))
        told = {"rate": len(done) / seconds, "scores": done}
    print(json.dumps({**told, **contestant.told(), "about": f"{about}, batch {batch}"}))


def timed(work):
    began = time.perf_counter()
    done = work()
    return done, time.perf_counter() - began


class Contestant:
    """What the others have in common: a model and a tokenizer as transformers loads them."""

    def __init__(self, words, batch):
        import torch
        from transformers import AutoModelForCausalLM

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.words, self.batch = words, batch
        self.loaded = AutoModelForCausalLM.from_pretrained(FOLDER, dtype="auto").eval().to(device)
        self.loaded.generation_config.max_length = None

    def count(self, texts, tokens):
        """Return how many tokens each answer has, with the one that ends it."""
        return [min(tokens, len(self.words(text)["input_ids"]) + 1) for text in texts]

    def told(self):
        return {}


class Pipeline(Contestant):
    def __init__(self, words, batch):
        from transformers import pipeline

        super().__init__(words, batch)
        self.ask = pipeline("text-generation", model=self.loaded, tokenizer=words, device=self.loaded.device)

    def answer(self, texts, tokens):
        made = self.ask(
            texts,
            max_new_tokens=tokens,
            do_sample=False,
            batch_size=self.batch,
            return_full_text=False,
        )
        return self.count([row[0]["generated_text"] for row in made], tokens)


class Harness(Contestant):
    def __init__(self, words, batch):
        import logging

        logging.disable(logging.WARNING)  # that the model is loaded already
        from lm_eval.models.huggingface import HFLM

        super().__init__(words, batch)
        self.harness = HFLM(
            pretrained=self.loaded, tokenizer=words, batch_size=batch, device=str(self.loaded.device)
        )

    def answer(self, texts, tokens):
        from lm_eval.api.instance import Instance

        how = {"until": ["<|im_end|>"], "max_gen_toks": tokens, "do_sample": False}
        asked = [Instance("generate_until", {}, (text, how), number) for number, text in enumerate(texts)]
        return self.count(self.harness.generate_until(asked, disable_tqdm=True), tokens)

    def score(self, scored):
        from lm_eval.api.instance import Instance

        asked = [
            Instance("loglikelihood", {}, (text, option), number)
            for number, (text, more) in enumerate(scored)
            for option in more
        ]
        return [found[0] for found in self.harness.loglikelihood(asked, disable_tqdm=True)]


class Ours:
    def __init__(self, words, batch):
        from aisb_backend_hf import HFBase

        del words
        self.loop = asyncio.new_event_loop()
        self.backend = HFBase(path=FOLDER, batch_size=batch)
        self.info = self.loop.run_until_complete(self.backend.probe())

    def answer(self, texts, tokens):
        from aisb._types import Request

        params = {"max_tokens": tokens, "temperature": 0}
        asked = [Request(str(number), text=text, params=params) for number, text in enumerate(texts)]
        return [answer.usage.output_tokens for answer in self._ask(asked)]

    def score(self, scored):
        from aisb._types import Request

        asked = [
            Request(str(number), text=text, continuations=tuple(more))
            for number, (text, more) in enumerate(scored)
        ]
        return [option.total for answer in self._ask(asked) for option in answer.logprobs]

    def _ask(self, requests):
        """Ask as the engine does."""
        from aisb_engine._load.direct import ask_directly

        async def run():
            return await asyncio.gather(
                *(ask_directly(self.backend, one, clock=time.perf_counter_ns) for one in requests)
            )

        answers = self.loop.run_until_complete(run())
        assert not any(answer.failure for answer in answers), answers[0].failure
        return answers

    def told(self):
        """End; return what the model is, and how much of what was computed was padding."""
        counts = self.loop.run_until_complete(self.backend.counters())
        self.loop.run_until_complete(self.backend.aclose())
        model = self.info.notes[0].partition(": ")[2]
        return {"model": model, "padding": counts["hf:padding_tokens"] / counts["hf:computed_tokens"]}


def examples():
    import aisb_dataset_math

    file = Path(aisb_dataset_math.__file__).parent / "data" / "demo_gsm8k.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()][:64]


def prompts(words, count):
    """Chats rendered as texts: a question after some of the others with their answers."""
    every = examples()
    found = []
    for number in range(count):
        turns = []
        for shot in range(number * 5 % 7):
            example = every[(number * 7 + shot + 1) % 64]
            turns += [
                {"role": "user", "content": example["question"]},
                {"role": "assistant", "content": example["answer"]},
            ]
        turns.append({"role": "user", "content": every[number % 64]["question"]})
        found.append(words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return found


def questions(count):
    """Questions with four answers each, of unlike length."""
    every = examples()
    for number in range(count):
        others = [every[(number + step) % 64]["answer"] for step in (0, 3, 7, 20)]
        yield (
            f"Question: {every[number % 64]['question']}\nAnswer:",
            [f" {text[: 40 + 25 * n]}" for n, text in enumerate(others)],
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        sys.exit(one(*sys.argv[2:]))
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(given + [32, 128, 8, 2][len(given) :])))
