"""Which part of an answer is the program, in every shape that models write."""

import pytest

from aisb import Sample
from aisb_engine._scoring.scoring import Steps
from aisb_evaluator_code._blocks import code

RIGHT = "def double(n):\n    return 2 * n\n"
SAMPLE = Sample("0", {"entry_point": "double"})


def found(text, **fields):
    return code()(text, Sample("0", {"entry_point": "double", **fields}))


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{RIGHT}```",
        f"```py\n{RIGHT}```",
        f"``` python\n{RIGHT}```",
        f"```Python3\n{RIGHT}```",
        f"```\n{RIGHT}```",
        f"~~~python\n{RIGHT}~~~",
        f"````python\n{RIGHT}````",
        f"```{{.python}}\n{RIGHT}```",
        f"Sure:\n\n```python\n{RIGHT}".replace("\n", "\r\n"),
        f"```python\n{RIGHT}```\n".replace("\n", "\r\n"),
        f"```python\n{RIGHT}",
        f"First install it:\n```bash\npip install x\n```\nThen:\n```python\n{RIGHT}```\nUse:\n```python\nprint(double(2))\n```",
        f"```python\ndef double(n): return n\n```\nThat was wrong. Better:\n```python\n{RIGHT}```",
        f"```python\n{RIGHT}```\nOutput:\n```\n4\n```",
        f"```python\n{RIGHT}```\nIt is called so:\n```python\ndouble(",
        "1. So:\n   ```python\n   def double(n):\n       return 2 * n\n   ```\n",
        f"[BEGIN]\n '{RIGHT.strip()}'\n[DONE]\n\nThat is it.",
        f"[BEGIN]\n{RIGHT}[DONE]",
        f"{RIGHT}[DONE]",
        f"[BEGIN]\n```python\n{RIGHT}```\n[DONE]",
        RIGHT,
        f"Here is the function:\n\n{RIGHT}\nThis doubles its argument.",
    ],
)
def test_the_program_is_found(text):
    space = {}
    exec(found(text).text, space)
    assert space["double"](4) == 8


def test_thinking_is_not_looked_at():
    steps = Steps([("code", code())])
    text = f"<think>```python\ndef double(n): return 0\n```</think>Here:\n```python\n{RIGHT}```"
    assert steps.extract(text, SAMPLE).text == RIGHT
    assert steps.extract(f"<think>```python\n{RIGHT}```", SAMPLE) is None


def test_the_word_done_in_a_program_does_not_end_it():
    program = "def double(n):\n    state = 'DONE'  # [BEGIN is not it\n    return 2 * n\n"
    assert found(f"[BEGIN]\n{program}[DONE]").text.strip() == program.strip()
    assert found(f"```python\n{program}```").text == program


def test_a_body_alone_is_taken_as_it_is():
    assert found("    return 2 * n\n").text == "    return 2 * n\n"


def test_the_span_is_where_the_block_stands():
    text = f"So:\n```python\n{RIGHT}```"
    assert text[slice(*found(text).span)] == RIGHT
    assert found(text).rule == "block"
    assert found(text.removesuffix("```")).rule == "unclosed block"


def test_other_languages_have_fences_of_their_own():
    text = "Not python:\n```python\nx\n```\nbut\n```c++\nint twice(int n) { return 2 * n; }\n```"
    assert code(language="language")(text, Sample("0", {"language": "cpp"})).text.startswith("int twice")


def test_an_empty_answer_has_no_program():
    assert found("  ") is None
