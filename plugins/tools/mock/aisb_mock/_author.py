"""Write the mock's replies: text, length, timing and faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

import orjson

from aisb_mock._answers import Prose, load_answers, share, token_pieces
from aisb_mock._faults import Faults
from aisb_mock._options import Behaviour, OptionSpread
from aisb_mock._replies import Ask, Refused, Reply, ToolCall

MILLISECOND = 1_000_000
MAX_OUTPUT_TOKENS = 1_000_000
OTHER_ANSWER = str.maketrans("0123456789ABCDE", "9876543210BCDEA")
"""Replacements of digits and choices in the last token of a corrupted reply."""
EXAMPLE_VALUES = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
"""Arguments of tool calls, by the type that JSON Schema names."""


class Pace(NamedTuple):
    """When the parts of a reply are due, in nanoseconds; `gaps` draws the time for each token.

    `slowdown` returns the time to add for other replies in progress.
    """

    first: int
    gap: int
    gaps: OptionSpread | None
    role: int
    usage: int
    rng: Random | None
    slowdown: Callable[[], int] | None = None


class Author:
    """Writes replies by the options; all randomness follows from the seed and the request."""

    def __init__(self, options: Behaviour) -> None:
        self.options = options
        self.answers = load_answers(options.answers)
        self.faults = Faults.parse(options.faults)
        self._places = {question: place for place, question in enumerate(self.answers.gold)}
        self._prose = Prose(options.seed)
        self._ttft = OptionSpread.parse("ttft_ms", options.ttft_ms)
        self._tpot = OptionSpread.parse("tpot_ms", options.tpot_ms)
        self._tokens = OptionSpread.parse("tokens", options.tokens)
        self._usage_delay = options.usage_delay_ms()
        self._attempts: dict[tuple[str, int | None], int] = {}

    @property
    def repeats(self) -> bool:
        """Whether equal requests get equal replies at the same pace, except for the id."""
        drawn = self.faults.rates or self.faults.schedule or self.options.tool_calls != "none"
        return not drawn and self._ttft.kind == self._tpot.kind == "fixed"

    def question(self, ask: Ask) -> tuple[str, int | None]:
        """Return a key of a request's question, and its number if it is a known question."""
        known = self.answers.last_question(ask.prompt)
        return (known, self._places[known]) if known is not None else (ask.key, None)

    def attempt(self, question: str, ask: Ask) -> int:
        """Count an attempt at a question with a request seed, and return its number from 1."""
        if not self.faults.rates:
            return 1
        count = self._attempts[question, ask.seed] = self._attempts.get((question, ask.seed), 0) + 1
        return count

    def forget(self) -> None:
        """Reset the count of attempts."""
        self._attempts.clear()

    def write(self, ask: Ask, question: str, *, known: bool, number: int, model: str) -> Reply:
        """Return the reply to a request, which is the same for the same question and request seed."""
        options = self.options
        most = ask.max_tokens or options.default_max_tokens
        if options.max_model_len is not None:
            self._check_length(ask, options.max_model_len)
            most = min(most, options.max_model_len - ask.prompt_tokens)
        place = share("prose", options.seed, question, ask.seed)
        reasoning = (
            self._prose.take(options.reasoning_tokens, place / 2) if options.reasoning != "none" else []
        )
        if known:
            said = token_pieces(
                self.answers.reply(
                    question, accuracy=options.accuracy, seed=options.seed, request_seed=ask.seed
                )
            )
        else:
            length = self._tokens.draw(Random(place)) if self._tokens.kind != "fixed" else self._tokens.first
            said = self._prose.take(max(1, min(round(length), MAX_OUTPUT_TOKENS)), place)
            said[0] = said[0].lstrip()
        tool = call_a_tool(ask, number) if options.tool_calls != "none" else None
        if tool:
            said = token_pieces(
                f'<tool_call>\n{{"name": "{tool.name}", "arguments": {tool.arguments}}}\n</tool_call>'
            )
            if options.tool_calls == "field":
                said = token_pieces(tool.arguments)
        said, stopped = cut_at_stop(said, ask.stop)
        endless = ask.ignore_eos and not stopped
        if endless or (len(reasoning) + len(said) < ask.min_tokens and not stopped):
            wanted = (most if endless else min(most, ask.min_tokens)) - len(reasoning) - len(said)
            said = said + self._prose.take(max(0, wanted), place)
        cut = len(reasoning) + len(said) > most or endless
        return Reply(
            number=number,
            model=model,
            created=int(time.time()),
            pieces=said[: max(0, most - len(reasoning))],
            finish_reason="length" if cut else "stop",
            prompt_tokens=ask.prompt_tokens,
            reasoning=reasoning[:most],
            reasoning_field=options.reasoning,
            tokens_per_chunk=options.tokens_per_chunk,
            include_usage=ask.include_usage,
            usage=self._usage_delay is not None,
            echo=ask.prompt if ask.echo else "",
            tool=tool if options.tool_calls == "field" else None,
            scores=ask.scores,
            prompt=self._scored(ask.prompt, question if known else "") if ask.scores else (),
        )

    def _scored(self, prompt: str, question: str) -> list[tuple[str, float]]:
        """Return the prompt's tokens with seeded log-probabilities, high for a correct answer at its end."""
        tokens = token_pieces(prompt)
        values = [
            -0.5 - 4 * share("logprob", self.options.seed, "".join(tokens[: at + 1]))
            for at in range(len(tokens))
        ]
        gold = self.answers.gold.get(question)
        if gold is not None and prompt.rstrip(" .").endswith(gold):
            values[-1] = -0.1
        return list(zip(tokens, values, strict=True))

    def corrupt(self, ask: Ask, question: str, reply: Reply, share_corrupted: float) -> Reply:
        """Corrupt a share of replies: change the last token, or break the arguments of a tool call.

        The seed selects them. The number of tokens does not change.
        """
        if share("corrupt", self.options.seed, question, ask.seed) >= share_corrupted:
            return reply
        *before, last = reply.pieces or [""]
        if reply.tool is not None:  # arguments that are no longer JSON
            tool = reply.tool._replace(arguments=reply.tool.arguments[:-1])
            return replace(reply, tool=tool, pieces=[*before, last[:-1]])
        return replace(reply, pieces=[*before, last.translate(OTHER_ANSWER)])

    def pace(self, question: str, ask: Ask, attempt: int, *, slow: bool) -> Pace:
        """Return when the parts of a reply are due, counted from the request's arrival."""
        fixed = self._ttft.kind == self._tpot.kind == "fixed"
        rng = None if fixed else Random(share("pace", self.options.seed, question, ask.seed, attempt))
        first = self._ttft.first if rng is None else self._ttft.draw(rng)
        return Pace(
            first=int((first + (self.options.slow_ms if slow else 0)) * MILLISECOND),
            gap=int(self._tpot.first * MILLISECOND),
            gaps=None if self._tpot.kind == "fixed" else self._tpot,
            role=int(self.options.role_ms * MILLISECOND),
            usage=int((self._usage_delay or 0) * MILLISECOND),
            rng=rng,
        )

    def _check_length(self, ask: Ask, longest: int) -> None:
        wanted = ask.prompt_tokens + (ask.max_tokens or 1)
        if wanted > longest:
            raise too_long(longest, wanted, ask.prompt_tokens)


def call_a_tool(ask: Ask, number: int) -> ToolCall | None:
    """Return a call of the request's first tool, with a value of the right type for each parameter."""
    for tool in ask.tools:
        function = tool.get("function") or {}
        wanted = (function.get("parameters") or {}).get("properties") or {}
        values = {name: EXAMPLE_VALUES.get(kind.get("type"), "text") for name, kind in wanted.items()}
        return ToolCall(f"call_{number:x}", str(function.get("name")), orjson.dumps(values).decode())
    return None


def too_long(longest: int, wanted: int, prompt: int) -> Refused:
    """Return the refusal of a prompt that is too long, with vLLM's message."""
    return Refused(
        400,
        f"This model's maximum context length is {longest} tokens. However, you requested {wanted} tokens "
        f"({prompt} in the messages, {wanted - prompt} in the completion). "
        "Please reduce the length of the messages or completion.",
    )


def cut_at_stop(said: list[str], stops: Sequence[str]) -> tuple[list[str], bool]:
    """Return the tokens before the first stop string, and whether there was one."""
    if not stops:
        return said, False
    text = "".join(said)
    found = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (token_pieces(text[: min(found)]), True) if found else (said, False)
