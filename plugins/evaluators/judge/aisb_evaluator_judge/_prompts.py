"""The usual prompts of the judge: with a reference answer, and without one."""

from __future__ import annotations

from aisb.helpers import Template

_QUESTION = """\
Grade the answer that a model gave to a question.

Question:
{sent_prompt}
"""
_END = """

Explain your decision in a few sentences. Then write your verdict on a line of its own, one letter and \
nothing else:
{verdicts}"""

WITH_REFERENCE = Template(
    _QUESTION
    + """
Reference answer, which is right:
{target}

Answer of the model:
{prediction}

Compare the two by meaning. The answer is right if it says what the reference answer says: other words, \
another form of a number or more detail do not matter. It is wrong if it contradicts the reference answer, \
lacks a part that the question asks for, or leaves open which of several answers it means."""
    + _END,
    "prompt",
)
WITHOUT_REFERENCE = Template(
    _QUESTION
    + """
Answer of the model:
{prediction}

There is no reference answer. Work out yourself what a right answer must say, then check the answer against \
it. It is right if it does all that the question asks for and contains no mistake that matters; its length \
and style do not matter."""
    + _END,
    "prompt",
)
