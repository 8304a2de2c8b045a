"""One run with a task of every family, sent to simulated services: for the tests of each format."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from forked import run_forked

from aisb_mock import start_mock

CONFIG = """
[load]
retries = 0

[models.small]
backend = "sim"
options = { answers = "replies.jsonl", model = "acme/pen-8b", tool_calls = "field", faults = ["status-500@5"] }

[models.plain]
backend = "vllm-completions"

[models.referee]
backend = "sim"
options = { answers = "verdicts.jsonl" }

[tasks.sums]
summary = "Sums of two regions"
source = "https://example.org/sums"
licence = "MIT"
dataset = { use = "jsonl", path = "sums.jsonl" }
sample = { target = "{answer}", group = "{region}" }
prompt = { user = "{question}", system = "Be brief." }
params = { max_tokens = 64, temperature = 0.7, num_return_sequences = 3 }
repeats = { k = [1, 3] }
postprocess = [{ use = "last-number" }]
evaluate = [{ use = "numeric-match" }]

[tasks.letters]
summary = "Multiple choice"
dataset = { use = "jsonl", path = "letters.jsonl" }
sample = { choices = "{options}", target_index = "{right}" }
prompt = { user = "{question}\\n{choice_lines}\\nAnswer with a letter." }
pull = { huggingface = "acme/letters", into = "letters", revision = "abc123" }
postprocess = [{ use = "choice" }]
evaluate = [{ use = "choice-match" }]

[tasks.likely]
summary = "Likelihoods of options"
mode = "logprob"
dataset = { use = "jsonl", path = "letters.jsonl" }
sample = { choices = "{options}", target_index = "{right}" }
prompt = { user = "{question}", style = "text" }
logprob = { continuation = " {choice}" }
evaluate = [{ use = "choice-match" }]

[tasks.essays]
summary = "Open questions that a model judges"
dataset = { use = "jsonl", path = "essays.jsonl" }
sample = { target = "{answer}" }
prompt = { user = "{question}" }
postprocess = [{ use = "strip-reasoning" }]

[[tasks.essays.evaluate]]
use = "judge"
prompt = "Question: {question}\\nAnswer: {answer}\\nCandidate: {prediction}\\nAnswer with one of {verdicts}."

[tasks.talk]
summary = "Conversations of two turns"
dataset = { use = "jsonl", path = "talk.jsonl" }
sample = { target = "{answer}" }
prompt = { user = "{turns.0}", followups = ["{turns.1}"] }
postprocess = [{ use = "last-number" }]
evaluate = [{ use = "numeric-match" }]

[tasks.pictures]
summary = "Questions on images"
dataset = { use = "jsonl", path = "pictures.jsonl" }
sample = { target = "{answer}" }
prompt = { user = "{question}", media = [{ file = "{image}" }] }
postprocess = [{ use = "last-number" }]
evaluate = [{ use = "numeric-match" }]

[tasks.programs]
summary = "Short programs"
dataset = { use = "mbpp", path = "programs.jsonl" }
sample = { target = "{code}" }
prompt = { user = "{question}" }
postprocess = [{ use = "code" }]
evaluate = [{ use = "code-run" }]

[tasks.summaries]
summary = "Texts compared with a reference text, in two ways"
dataset = { use = "jsonl", path = "essays.jsonl" }
sample = { target = "{answer}" }
prompt = { user = "{question}" }
evaluate = [{ use = "rouge" }, { use = "bleu" }]
"""

SUMS = [(region, n) for region in ("north", "south") for n in range(4)]
LETTERS = [
    ("Which is a fruit?", ["stone", "apple", "chair", "cloud"], 1),
    ("Which can fly?", ["a house", "a fish", "a bird", "a tree"], 2),
    ("Which is red?", ["blood", "snow", "coal", "grass"], 0),
]
CALLS = {"x": {"type": "integer"}, "unit": {"type": "string"}}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def png():
    """Return an image of one pixel."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_data(home):
    sums = [
        {"region": region, "question": f"In the {region}, what is {n} plus {n}?", "answer": str(2 * n)}
        for region, n in SUMS
    ]
    replies = [
        {"question": row["question"], "reply": f"That makes {row['answer'] if n % 4 else 99}."}
        for n, row in enumerate(sums)
    ]
    write(home / "sums.jsonl", sums)
    write(home / "letters.jsonl", [{"question": q, "options": o, "right": r} for q, o, r in LETTERS])
    replies += [{"question": q, "reply": f"The answer is {'ABCD'[r and 1]}."} for q, o, r in LETTERS]
    essays = [
        {"question": f"Why is thing number {n} blue?", "answer": f"Because of light {n}."} for n in range(3)
    ]
    write(home / "essays.jsonl", essays)
    replies += [
        {"question": row["question"], "reply": row["answer"] if n else "It is sad."}
        for n, row in enumerate(essays)
    ]
    verdicts = [
        {"question": row["question"], "reply": "CORRECT" if n else "INCORRECT"}
        for n, row in enumerate(essays)
    ]
    write(home / "verdicts.jsonl", verdicts)
    write(
        home / "talk.jsonl",
        [{"turns": [f"Think of {n}.", f"Add 1 to the {n}."], "answer": n + 1} for n in range(2)],
    )
    replies += [{"question": f"Think of {n}.", "reply": "I do."} for n in range(2)]
    replies += [{"question": f"Add 1 to the {n}.", "reply": f"It is {n + 1}."} for n in range(2)]
    (home / "dot.png").write_bytes(png())
    pictures = [("dot.png", "How many dots are here?"), ("dot.png", "How many more are there?")]
    write(home / "pictures.jsonl", [{"image": f, "question": q, "answer": "1"} for f, q in pictures])
    replies += [{"question": "How many dots are here?", "reply": "There is 1."}]
    programs = [
        {
            "task_id": n, "text": f"Write a function that adds {n}.", "code": f"def add(x):\n    return x + {n}",
            "test_list": [f"assert add(1) == {1 + n}"], "test_setup_code": "", "challenge_test_list": [],
        }
        for n in range(11, 13)
    ]  # fmt: skip
    write(home / "programs.jsonl", programs)
    replies += [{"question": row["text"], "reply": f"```python\n{row['code']}\n```"} for row in programs[:1]]
    write(home / "replies.jsonl", [*replies, *write_exams(home)])
    write_functions(home)
    write_services(home)
    (home / "aisb.toml").write_text(CONFIG)


def write_exams(home):
    """Write rows of MMLU and PIQA as they are published, and return the replies to some of them."""
    for subject in ("anatomy", "virology"):
        for split, count in (("dev", 5), ("val", 1), ("test", 3)):
            rows = [
                f"Which {subject} {split} is number {n}?,one,two,three,four,{'ABCD'[n % 4]}\n"
                for n in range(count)
            ]
            path = home / f"mmlu/{split}/{subject}_{split}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(rows))
    goals = [{"goal": f"Lift thing {n}", "sol1": "Use your hands", "sol2": "Use your hat"} for n in range(3)]
    write(home / "physicaliqa-train-dev/dev.jsonl", goals)
    (home / "physicaliqa-train-dev/dev-labels.lst").write_text("0\n1\n0\n")
    asked = [f"Which {subject} test is number {n}?" for subject in ("anatomy", "virology") for n in range(2)]
    return [{"question": question, "reply": "The answer is A."} for question in asked] + [
        {"question": row["goal"], "reply": "Answer: A"} for row in goals
    ]


def write_functions(home):
    """Write rows of functions to call, as BFCL publishes them."""
    described = {
        "name": "t.run",
        "description": "Runs.",
        "parameters": {"type": "dict", "properties": CALLS, "required": ["x"]},
    }
    folder = home / "bfcl"
    rows = [
        {
            "id": f"multiple_{n}",
            "question": [[{"role": "user", "content": f"Do multiple {n}."}]],
            "function": [described],
        }
        for n in range(2)
    ]
    truth = [{"id": row["id"], "ground_truth": [{"t.run": {"x": [1], "unit": [""]}}]} for row in rows]
    write(folder / "BFCL_v3_multiple.json", rows)
    write(folder / "possible_answer/BFCL_v3_multiple.json", truth)


def write_services(home):
    """Write a service and a conversation about it, as the package bfcl-eval has them."""
    root = home / "bfcl_eval"
    sources = root / "eval_checker/multi_turn_eval/func_source_code"
    sources.mkdir(parents=True)
    (sources / "ticket_api.py").write_text(
        "class TicketAPI:\n"
        "    def __init__(self):\n        self.tickets = []\n"
        "    def _load_scenario(self, scenario, long_context=False):\n"
        "        self.tickets = list(scenario['tickets'])\n"
        "    def create_ticket(self, title):\n"
        "        self.tickets.append(title)\n        return len(self.tickets)\n"
    )
    data = root / "data"
    parameters = {"type": "dict", "properties": {"title": {"type": "string"}}, "required": []}
    described = {
        "name": "create_ticket",
        "description": "Creates one.",
        "parameters": parameters,
        "response": {},
    }
    write(data / "multi_turn_func_doc/ticket_api.json", [described])
    row = {
        "id": "multi_turn_base_0",
        "question": [[{"role": "user", "content": "Open a ticket 'lamp'."}], [{"role": "user", "content": "Thanks."}]],
        "initial_config": {"TicketAPI": {"tickets": []}},
        "involved_classes": ["TicketAPI"],
    }  # fmt: skip
    write(data / "BFCL_v4_multi_turn_base.json", [row])
    answer = {"id": row["id"], "ground_truth": [["create_ticket('lamp')"], []]}
    write(data / "possible_answer/BFCL_v4_multi_turn_base.json", [answer])


def aisb(home, *words, start=run_forked):
    """Run the command in a folder, and return what it printed."""
    ended = start(
        [sys.executable, "-m", "aisb_cli.main", *map(str, words)],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("AISB_")}, "NO_COLOR": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def run_of_published_tasks(home):
    """Run tasks that are installed, so that their answers can be graded after an import; return both folders."""
    write_data(home)
    common = ("--data-dir", ".", "--work-dir", "published")
    tasks = ("demo_gsm8k", "mmlu", "piqa", "--set", "tasks.demo_gsm8k.params.num_return_sequences=2")
    aisb(home, "run", "--models", "small", "--datasets", *tasks, *common, "--set", "models.small.faults=[]")
    first = set((home / "published").glob("2*"))
    with start_mock() as mock:
        aisb(home, "run", "--models", "plain", "--url", mock.url, "--datasets", "piqa:ppl", *common)
    (second,) = set((home / "published").glob("2*")) - first
    return first.pop(), second


def run_of_every_family(home):
    """Run every task, and return the folders of the two runs: of a chat service, and of likelihoods."""
    write_data(home)
    tasks = ("sums", "letters", "essays", "talk", "pictures", "programs", "summaries")
    common = ("--data-dir", ".", "--work-dir", "out", "--max-failures", "1")
    judged = ("--judge", "referee", "--allow-code-execution", "--allow-uncontained")
    tools = ("bfcl:native", "bfcl_multi_turn", "--set", "tasks.bfcl_multi_turn.environment.package=.")
    aisb(
        home, "run", "--models", "small", "--datasets", *tasks, *tools, *judged, *common, start=subprocess.run
    )  # which runs programs
    first = set((home / "out").glob("2*"))
    with start_mock() as mock:
        aisb(home, "run", "--models", "plain", "--url", mock.url, "--datasets", "likely", *common)
    (second,) = set((home / "out").glob("2*")) - first
    return Path(first.pop()), second
