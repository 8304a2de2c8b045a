"""Which part of an answer is the program, in every shape that models write."""

import pytest

from aisb import Sample
from aisb_engine._scoring.scoring import Steps
from aisb_evaluator_code._blocks import code

CORRECT_FROM = "def double(n):\n    return 2 * n\n"
SAMPLE = Sample("0", {"entry_point": "double"})


def found(text, **fields):
    return code()(text, Sample("0", {"entry_point": "double", **fields}))


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CORRECT_FROM}```",
        f"```py\n{CORRECT_FROM}```",
        f"``` python\n{CORRECT_FROM}```",
        f"```Python3\n{CORRECT_FROM}```",
        f"```\n{CORRECT_FROM}```",
        f"~~~python\n{CORRECT_FROM}~~~",
        f"````python\n{CORRECT_FROM}````",
        f"```{{.python}}\n{CORRECT_FROM}```",
        f"Sure:\n\n```python\n{CORRECT_FROM}".replace("\n", "\r\n"),
        f"```python\n{CORRECT_FROM}```\n".replace("\n", "\r\n"),
        f"```python\n{CORRECT_FROM}",
        f"First install it:\n```bash\npip install x\n```\nThen:\n```python\n{CORRECT_FROM}```\nUse:\n```python\nprint(double(2))\n```",
        f"```python\ndef double(n): return n\n```\nThat was wrong. Better:\n```python\n{CORRECT_FROM}```",
        f"```python\n{CORRECT_FROM}```\nOutput:\n```\n4\n```",
        f"```python\n{CORRECT_FROM}```\nIt is called so:\n```python\ndouble(",
        "1. So:\n   ```python\n   def double(n):\n       return 2 * n\n   ```\n",
        f"[BEGIN]\n '{CORRECT_FROM.strip()}'\n[DONE]\n\nThat is it.",
        f"[BEGIN]\n{CORRECT_FROM}[DONE]",
        f"{CORRECT_FROM}[DONE]",
        f"[BEGIN]\n```python\n{CORRECT_FROM}```\n[DONE]",
        CORRECT_FROM,
        f"Here is the function:\n\n{CORRECT_FROM}\nThis doubles its argument.",
    ],
)
def test_the_program_is_found(text):
    space = {}
    exec(found(text).text, space)
    assert space["double"](4) == 8


def test_thinking_is_not_looked_at():
    steps = Steps([("code", code())])
    text = f"<think>```python\ndef double(n): return 0\n```</think>Here:\n```python\n{CORRECT_FROM}```"
    assert steps.extract(text, SAMPLE).text == CORRECT_FROM
    assert steps.extract(f"<think>```python\n{CORRECT_FROM}```", SAMPLE) is None


def test_the_word_done_in_a_program_does_not_end_it():
    program = "def double(n):\n    state = 'DONE'  # [BEGIN is not it\n    return 2 * n\n"
    assert found(f"[BEGIN]\n{program}[DONE]").text.strip() == program.strip()
    assert found(f"```python\n{program}```").text == program


def test_a_body_alone_is_taken_as_it_is():
    assert found("    return 2 * n\n").text == "    return 2 * n\n"


def test_the_span_is_where_the_block_stands():
    text = f"So:\n```python\n{CORRECT_FROM}```"
    assert text[slice(*found(text).span)] == CORRECT_FROM
    assert found(text).rule == "block"
    assert found(text.removesuffix("```")).rule == "unclosed block"


def test_other_languages_have_fences_of_their_own():
    text = "Not python:\n```python\nx\n```\nbut\n```c++\nint twice(int n) { return 2 * n; }\n```"
    assert code(language="language")(text, Sample("0", {"language": "cpp"})).text.startswith("int twice")


def test_an_empty_answer_has_no_program():
    assert found("  ") is None
