"""Build a small model, ask a backend as the engine does, and compute what is right by plain code."""

import asyncio
import json
from functools import lru_cache

from aisb import Message, Request
from aisb_engine._load.direct import ask_directly

WORDS = [
    "the",
    "sky",
    "is",
    "blue",
    "and",
    "the",
    "sea",
    "is",
    "deep",
    ",",
    "a",
    "fox",
    "runs",
    "over",
    "seven",
    "hills",
    "while",
    "old",
    "stones",
    "sing",
    "of",
    "rain",
    ";",
    "how",
    "many",
    "apples",
    "has",
    "Tom",
    "?",
    "he",
    "had",
    "12",
    ",",
    "gave",
    "3",
    "away",
    "and",
    "bought",
    "7",
    "more",
    ".",
    "the",
    "answer",
    "is",
    "16",
    ".",
]
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

TASK = """
version = 1
summary = "Words"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{question}"
style = "text"
[sample]
target = "{number}"
[[evaluate]]
use = "exact-match"
"""


def tokenizer():
    """A byte-level BPE tokenizer trained on a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|eos|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([" ".join(WORDS)], trainer)
    whole = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|eos|>", bos_token="<|bos|>")
    whole.chat_template = TEMPLATE
    return whole


def build(folder, *, seed=0, **more):
    """Save a Llama with random weights; its numbers are far enough apart that rounding chooses no other token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer()
    config = LlamaConfig(
        **{
            "vocab_size": len(words),
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.15,
            "bos_token_id": words.bos_token_id,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": None,
            "dtype": "float32",
            **more,
        }
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def prompts(count, *, least=3, most=60, seed=1, start=""):
    """Texts of mixed length."""
    import random

    draw = random.Random(seed)
    return [start + " ".join(draw.choices(WORDS, k=draw.randint(least, most))) for _ in range(count)]


def write_task(folder, count):
    """Write a task of texts of mixed length, and its rows; return its file. Its name is `words`."""
    rows = ({"question": text, "number": str(number)} for number, text in enumerate(prompts(count)))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "words.toml").write_text(TASK)
    return folder / "words.toml"


def ask(backend, requests):
    """Ask all at once, as the engine does; return the predictions in order."""

    async def all_of_them():
        import time

        try:
            return await asyncio.gather(
                *(ask_directly(backend, request, clock=time.perf_counter_ns) for request in requests)
            )
        finally:
            await backend.aclose()

    return asyncio.run(all_of_them())


def texts(backend, asked, **params):
    """Ask texts (or messages) with the same parameters; return what was answered."""
    answers = ask(backend, [request(number, text, **params) for number, text in enumerate(asked)])
    for answer in answers:
        assert answer.failure is None, answer.failure
    return [answer.text for answer in answers]


def request(number, text, **params):
    if isinstance(text, str):
        return Request(str(number), text=text, params={"max_tokens": 20, **params})
    return Request(
        str(number), messages=tuple(Message(*turn) for turn in text), params={"max_tokens": 20, **params}
    )


@lru_cache
def plain(folder):
    """The model and tokenizer of a folder as transformers itself loads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def plainly(folder, text, count=20, *, special=True):
    """Answer one text greedily with transformers' own `generate`, one row and nothing kept."""
    import torch

    model, words = plain(folder)
    ids = words(text, return_tensors="pt", add_special_tokens=special)["input_ids"]
    with torch.inference_mode():
        out = model.generate(ids, max_new_tokens=count, do_sample=False, use_cache=False, pad_token_id=0)
    made = out[0, ids.shape[1] :].tolist()
    return words.decode(made, skip_special_tokens=True)


def plain_scores(folder, context, text, *, special=True):
    """The sum, and whether each token was the likeliest, by one forward of one row."""
    import torch

    model, words = plain(folder)
    alone = words(context, add_special_tokens=special)["input_ids"]
    whole = words(context + text, add_special_tokens=special)["input_ids"]
    shared = next(
        (n for n, (a, b) in enumerate(zip(alone, whole, strict=False)) if a != b), min(len(alone), len(whole))
    )
    with torch.inference_mode():
        logprobs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
    told = [float(logprobs[place - 1, whole[place]]) for place in range(max(1, shared), len(whole))]
    every = [float(logprobs[place - 1, whole[place]]) for place in range(1, len(whole))]
    likeliest = all(
        int(logprobs[place - 1].argmax()) == whole[place] for place in range(max(1, shared), len(whole))
    )
    return sum(told), len(told), likeliest, sum(every)
