"""Which part of an answer is the program, in every shape that models write."""

import pytest

from aisb import Sample
from aisb_engine._scoring.steps import Steps
from aisb_evaluator_code._blocks import code
from aisb_evaluator_code._python_source import completed

CORRECT = "def double(n):\n    return 2 * n\n"
SAMPLE = Sample("0", {"entry_point": "double"})


def found(text, **fields):
    return code()(text, Sample("0", {"entry_point": "double", **fields}))


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CORRECT}```",
        f"```py\n{CORRECT}```",
        f"``` python\n{CORRECT}```",
        f"```Python3\n{CORRECT}```",
        f"```\n{CORRECT}```",
        f"~~~python\n{CORRECT}~~~",
        f"````python\n{CORRECT}````",
        f"```{{.python}}\n{CORRECT}```",
        f"Sure:\n\n```python\n{CORRECT}".replace("\n", "\r\n"),
        f"```python\n{CORRECT}```\n".replace("\n", "\r\n"),
        f"```python\n{CORRECT}",
        f"First install it:\n```bash\npip install x\n```\nThen:\n```python\n{CORRECT}```\nUse:\n```python\nprint(double(2))\n```",
        f"```python\ndef double(n): return n\n```\nThat was wrong. Better:\n```python\n{CORRECT}```",
        f"```python\n{CORRECT}```\nOutput:\n```\n4\n```",
        f"```python\n{CORRECT}```\nIt is called so:\n```python\ndouble(",
        "1. So:\n   ```python\n   def double(n):\n       return 2 * n\n   ```\n",
        f"[BEGIN]\n '{CORRECT.strip()}'\n[DONE]\n\nThat is it.",
        f"[BEGIN]\n{CORRECT}[DONE]",
        f"{CORRECT}[DONE]",
        f"[BEGIN]\n```python\n{CORRECT}```\n[DONE]",
        CORRECT,
        f"Here is the function:\n\n{CORRECT}\nThis doubles its argument.",
        f"\ufeff{CORRECT}",
        f"{CORRECT}```\n\nIt doubles its argument:\n```python\nprint(double(2))\n```",
        '```python\ndef double(n):\n    """\n    ```\n    double(2)\n    ```\n    """\n    return 2 * n\n```\nDone.',
    ],
)
def test_the_program_is_found(text):
    space = {}
    exec(found(text).text, space)
    assert space["double"](4) == 8


def test_thinking_is_not_looked_at():
    steps = Steps([("code", code())])
    text = f"<think>```python\ndef double(n): return 0\n```</think>Here:\n```python\n{CORRECT}```"
    assert steps.extract(text, SAMPLE).text == CORRECT
    assert steps.extract(f"<think>```python\n{CORRECT}```", SAMPLE) is None


def test_the_word_done_in_a_program_does_not_end_it():
    program = "def double(n):\n    state = 'DONE'  # [BEGIN is not it\n    return 2 * n\n"
    assert found(f"[BEGIN]\n{program}[DONE]").text.strip() == program.strip()
    assert found(f"```python\n{program}```").text == program


PROMPT = 'import math\n\n\ndef double(n):\n    """Double n."""\n'
BODY = "    for one in [n]:\n        if one > 0:\n            return 2 * one\n    return 2 * n\n"
LOST = BODY.lstrip()  # its first line has lost its indent
FLAT = "".join(line[4:] + "\n" for line in BODY.splitlines())


def double(text, prompt=PROMPT):
    """What the function of the program that a text gives returns."""
    space = {}
    exec(completed(prompt, found(text, prelude=prompt).text, "double"), space)
    return space["double"]


@pytest.mark.parametrize(
    "body", [BODY, LOST, FLAT, "return 2 * n\n", "    return 2 * n\n", BODY.replace("    ", "\t")]
)
@pytest.mark.parametrize(
    "text",
    [
        "{0}",
        "```python\n{0}```",
        "```\n{0}```\nIt multiplies by two.",
        "```python\n{0}```\nFor example:\n```python\nprint(double(2))\n```",
        "```python\n{0}```\n函数体如上，用法：\n```python\nassert double(2) == 4\n```",
        "```bash\npip install x\n```\n```python\n{0}```\n```\n4\n```",
    ],
)
def test_a_body_alone_goes_on_with_its_prompt(text, body):
    assert double(text.format(body))(4) == 8


def test_a_body_in_a_list_item_loses_the_indent_of_its_fence_only():
    text = "1. The body:\n   ```python\n" + "".join(f"   {line}\n" for line in BODY.splitlines()) + "   ```\n"
    assert double(text)(4) == 8


def test_a_body_is_put_at_the_indent_of_its_own_prompt():
    method = "class Maths:\n    def one(self):\n        return 1\n\n\ndef double(n):\n  # Two spaces.\n"
    assert double(f"```python\n{LOST}```", method)(4) == 8


def test_a_body_alone_is_taken_as_it_is():
    assert found("    return 2 * n\n").text == "    return 2 * n\n"


HELPER = "def twice(x):\n    return 2 * x\n"
NEEDS = "def double(n):\n    return twice(n)\n"


@pytest.mark.parametrize(
    "text",
    [
        "A helper:\n```python\n{helper}```\nand\n```python\n{needs}```",
        "```python\n{needs}```\nwhere\n```python\n{helper}```",
        "先定义一个辅助函数：\n```python\n{helper}```\n再写主函数：\n```python\n{needs}```\n测试：\n```python\nprint(double(3))\n```",
        "```python\nFACTOR = 2\n```\n```python\ndef twice(x):\n    return FACTOR * x\n```\n```python\n{needs}```",
        "```python\nfrom operator import mul\n```\n```python\ndef double(n):\n    return mul(n, 2)\n```",
        "```python\n{helper}print(twice(1), undefined_there)\n```\n```python\n{needs}```",
        "Old:\n```python\n{helper}def double(n):\n    return twice(n) + 1\n```\nFixed, with the same helper:\n```python\n{needs}```",
        "```python\n{helper}```\n```python\n    return twice(n)\n```",
    ],
)
def test_helpers_in_blocks_of_their_own_are_taken_along(text):
    assert double(text.format(helper=HELPER, needs=NEEDS))(4) == 8


@pytest.mark.parametrize(
    ("others", "last"),
    [
        (["def double(n):\n    return n\n"], CORRECT),
        (["def double(n):\n    return helper(n)\n", "def helper(n):\n    return n\n"], CORRECT),
        (["def twice(x):\n    return x\n"], HELPER + NEEDS),
        (["n = 3\nprint(double(n))\n"], CORRECT),
    ],
)
def test_a_program_that_needs_nothing_is_taken_alone(others, last):
    text = "".join(f"```python\n{source}```\nor\n" for source in [*others, last])
    assert found(text).text == last
    assert found(text).rule == "block"


def test_a_helper_that_the_prompt_gives_is_not_replaced():
    prompt = HELPER + PROMPT
    text = f"The helper is wrong here:\n```python\n{HELPER.replace('2', '3')}```\n```python\n{NEEDS}```"
    assert double(text, prompt)(4) == 8


@pytest.mark.parametrize("shift", ["    ", "  ", "\t"])
def test_a_program_whose_lines_are_all_indented_is_moved_to_the_margin(shift):
    moved = "".join(f"{shift}{line}\n" for line in f"import math\n\n{CORRECT}".splitlines())
    for text in (moved, moved.lstrip(), f"```python\n{moved}```"):
        assert double(text)(4) == 8


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        (f"```python\n{CORRECT}```", True),
        (f"```python\n{CORRECT}", False),
        (f"[BEGIN]\n{CORRECT}[DONE]", True),
        (f"[BEGIN]\n{CORRECT}", False),
        (f"```python\ndef double(n): return n\n```\nBetter:\n```python\n{CORRECT[:20]}", False),
        (f"```python\n{CORRECT}```\nIt is called so:\n```python\nprint(doub", True),
    ],
)
def test_a_block_that_the_end_of_the_reply_cut_off_marks_no_answer(text, complete):
    assert found(text).explicit is complete


@pytest.mark.parametrize(
    ("language", "source", "helper", "usage"),
    [
        ("js", "const double = (n) => twice(n)", "function twice(n) { return 2 * n }", "console.log(double(2))"),
        ("cpp", "int double_it(int n) { return twice(n); }", "int twice(int n) {\n  return 2 * n;\n}", "int main() { double_it(2); }"),
        ("java", "class Solution { int twoTimes(int n) { return Maths.twice(n); } }", "class Maths { static int twice(int n) { return 2 * n; } }", "new Solution().twoTimes(2);"),
    ],
)  # fmt: skip
def test_other_languages_have_helpers_and_examples_of_use_too(language, source, helper, usage):
    name = {"js": "double", "cpp": "double_it", "java": "twoTimes"}[language]
    step = code(language="language")
    row = Sample("0", {"entry_point": name, "language": language})
    blocks = [f"```{language}\n{one}\n```\n" for one in (helper, source, usage)]
    assert step("".join(blocks[1:]), row).text == f"{source}\n"
    assert step("".join(blocks), row).text == f"{helper}\n\n\n{source}\n"


def test_the_span_is_where_the_block_stands():
    text = f"So:\n```python\n{CORRECT}```"
    assert text[slice(*found(text).span)] == CORRECT
    assert found(text).rule == "block"
    assert found(text.removesuffix("```")).rule == "unclosed block"


def test_other_languages_have_fences_of_their_own():
    text = "Not python:\n```python\nx\n```\nbut\n```c++\nint twice(int n) { return 2 * n; }\n```"
    assert code(language="language")(text, Sample("0", {"language": "cpp"})).text.startswith("int twice")


def test_an_empty_answer_has_no_program():
    assert found("  ") is None


@pytest.mark.parametrize(
    "text",
    [
        "    m = 2 * n\n    return m\n\nThis doubles its argument.",
        "    m = 2 * n\n    return m\n```\n\nThis doubles its argument.",
        "    m = 2 * n\n    return m\n```\n\nUse:\n```python\nprint(double(2))\n```",
    ],
)
def test_a_body_ends_before_the_words_that_follow_it(text):
    space = {}
    exec(completed("def double(n):\n", found(text).text, "double"), space)
    assert space["double"](4) == 8


def test_an_import_from_the_future_moves_above_the_prompt():
    answer = "from __future__ import annotations\n\ndef double(n: Missing):\n    return 2 * n\n"
    program = completed("import math\n\ndef double(n):\n    pass\n", answer, "double")
    space = {}
    exec(program, space)
    assert space["double"](4) == 8
    assert program.endswith(answer.replace("from", "# from"))  # its lines keep their numbers
