"""The reward of τ²-bench: the product of what the task's `reward_basis` names; and pass^k over repeats."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aisb import Ask, Evaluator, Message, Metric, Prediction, Request, Sample, Score

DEFAULT_BASIS = ("DB", "COMMUNICATE")
QUESTION = """\
Below is a conversation between a customer service agent and a user, and a list of {count} expectations.
Decide for each expectation, in order, whether the agent meets it in the conversation.

<conversation>
{conversation}
</conversation>

<expectations>
{expectations}
</expectations>

Answer with one JSON object and nothing else: {{"met": [true or false for each expectation, in order]}}"""


class Tau2Reward(Evaluator):
    """1 if the user ended the conversation and each part of the reward basis holds, else 0.

    DB: the databases equal those after the reference actions. ENV_ASSERTION: all assertions hold. ACTION:
    each reference action was called. COMMUNICATE: the agent said each text. NL_ASSERTION: the judge finds
    each expectation met. Source: evaluator/ of tau2-bench.
    """

    grades_none = True
    questions_per_answer = 1

    def __init__(self, *, ask: Ask) -> None:
        self._ask = ask

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade the end of a conversation."""
        del answer
        episode = sample.fields["episode"]
        state, criteria = episode["state"], sample.fields["task"].get("evaluation_criteria") or {}
        if state["ended"] != "user_stop":
            return Score(0.0, "wrong", details={"reason": f"ended by {state['ended']}"})
        basis = criteria.get("reward_basis") or DEFAULT_BASIS
        parts = {name: part for name, part in checked(state, criteria).items() if name in basis}
        if "NL_ASSERTION" in basis and (expected := criteria.get("nl_assertions")) and all(parts.values()):
            reply = await self._ask(question(sample, episode["messages"], expected))
            met = verdicts(reply, len(expected))
            if met is None:
                why = reply.failure.message if reply.failure else f"unreadable: {reply.text[:200]!r}"
                return Score(0.0, "error", details={"failure": f"judge: {why}"})
            parts["NL_ASSERTION"] = all(met)
        reward = all(parts.values())
        return Score(float(reward), "correct" if reward else "wrong", details=dict(parts))

    def extra_metrics(self, scores: Sequence[Score]) -> list[Metric]:
        """Return pass^k for each k up to the smallest number of graded repeats."""
        repeats: dict[str, list[bool]] = {}
        for score in scores:
            if score.outcome != "error":
                repeats.setdefault(score.sample_id, []).append(score.value >= 1)
        most = min((len(found) for found in repeats.values()), default=0)
        return [] if most < 2 else [pass_hat(list(repeats.values()), k) for k in range(1, most + 1)]


def pass_hat(repeats: Sequence[Sequence[bool]], k: int) -> Metric:
    """Return pass^k: the probability that k repeats, drawn without replacement, all succeed.

    C(c, k) / C(n, k), averaged over tasks. Source: Yao et al., τ-bench (2024).
    """
    shares = [math.comb(sum(found), k) / math.comb(len(found), k) for found in repeats]
    return Metric(f"pass^{k}", 100 * math.fsum(shares) / len(shares), count=len(shares))


def checked(state: Mapping[str, Any], criteria: Mapping[str, Any]) -> dict[str, bool]:
    """Return each part of the reward that needs no model."""
    checks, actions = state["checks"], criteria.get("actions") or ()
    has_reference = criteria.get("actions") is not None or criteria.get("env_assertions") is not None
    texts = [text.lower().replace(",", "") for text in state["said"]]
    return {
        "DB": not has_reference or (checks["agent_db"] and checks["user_db"]),
        "ENV_ASSERTION": all(checks["assertions"]),
        "ACTION": all(any(is_call_of(action, call) for call in state["calls"]) for action in actions),
        "COMMUNICATE": all(
            any(said.lower() in text for text in texts) for said in criteria.get("communicate_info") or ()
        ),
    }


def is_call_of(action: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    """Return whether a call is a reference action: by the arguments to compare, else by those of the call."""
    if action["name"] != call["name"]:
        return False
    compared = action.get("compare_args")
    names = set(call["arguments"] if compared is None else compared)

    def among(arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name in names}

    return among(call["arguments"]) == among(action["arguments"])


def question(sample: Sample, messages: Sequence[Mapping[str, Any]], expected: Sequence[str]) -> Request:
    """Return the question to the judge about expectations in words."""
    turns = [
        f"{message['role']}: {message['content']}"
        for message in messages
        if message["role"] in ("assistant", "user") and message["content"]
    ]
    text = QUESTION.format(
        count=len(expected),
        conversation="\n".join(turns),
        expectations="\n".join(f"{number}. {one}" for number, one in enumerate(expected, start=1)),
    )
    return Request(sample.id, messages=(Message("user", text),), params={"temperature": 0.0})


def verdicts(reply: Prediction, count: int) -> list[bool] | None:
    """Return the verdicts of the judge; None if the reply has not one for each expectation."""
    if reply.failure is not None:
        return None
    for found in reversed(re.findall(r"\{[^{}]*\}", reply.text)):
        try:
            met = json.loads(found).get("met")
        except ValueError:
            continue
        if isinstance(met, list) and len(met) == count and all(isinstance(one, bool) for one in met):
            return met
    return None
