"""A task whose answers are small programs, right and wrong, with the replies of a service that gives them."""

import json

TASK = """
version = 1
summary = "Small functions"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[sample]
fields = { prelude = { value = "{prompt}" } }
[prompt]
user = "Complete the function.\\n{prompt}"
[[postprocess]]
use = "code"
[[evaluate]]
use = "code-run"
"""
PROMPT = "def f{n}(x: int) -> int:\n    '''Return {n} more than x.'''\n"
TEST = "def check(candidate):\n    assert candidate(1) == {n} + 1\n    assert candidate(-7) == {n} - 7\n"
RIGHT, WRONG = "    return x + {n}\n", "    return x - {n}\n"
RAISES, UNFINISHED = "    raise ValueError(x)\n", "    return (\n"
EXITS = "    import os; os._exit(0)\n"


def write_programs(folder, bodies, *, refusals=0):
    """Write the task `programs`, its rows and its replies, a program for each body; return the two files.

    The last `refusals` replies have no program.
    """
    rows, replies = [], []
    for n, body in enumerate(bodies):
        prompt = PROMPT.format(n=n)
        rows.append({"task_id": n, "prompt": prompt, "entry_point": f"f{n}", "test": TEST.format(n=n)})
        is_refused = n >= len(bodies) - refusals
        reply = "I would rather not." if is_refused else f"```python\n{prompt}{body.format(n=n)}```"
        replies.append({"question": prompt, "reply": reply})
    task = folder / "programs.toml"
    task.write_text(TASK)
    for name, lines in (("rows", rows), ("replies", replies)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return task, folder / "replies.jsonl"
