"""Answers that other tools asked for, read as values, so that they become runs like any other.

A reader yields `Subtask`s from files; `aisb_cli.importers.write` makes a run folder of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aisb._types import Failure, Logprob, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a row: a text, or the likelihood of each option, or why there is none."""

    text: str = ""
    logprobs: tuple[Logprob, ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What was asked once: `fields` is the tool's own row where it kept one, `gold` what it held for right.

    `position` is the row's place in its source, from 0. There is an answer for each repeat.
    """

    position: int
    prompt: str | list[dict[str, Any]]
    gold: Any
    answers: tuple[Answer, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtask:
    """One model on one task of another tool, and the scores that the tool gave, by name, in percent."""

    tool: str
    source: Path
    model: str
    task: str
    rows: tuple[Row, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
