"""The answers of a subtask as instance-level records of Every Eval Ever: a line for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from aisb import Row
from aisb.helpers import as_text
from aisb_reporter_exchange._conversations import (
    calls_tools,
    content_text,
    conversation,
    is_conversation,
    prompt_text,
    question,
)
from aisb_reporter_exchange._every_eval_ever import result_id, texts
from aisb_reporter_exchange._subtasks import Answer, ScoredSubtask, token_usage

PERFORMANCE = {"latency_ms": "e2el_ms", "time_to_first_token_ms": "ttft_ms"}


def sample_lines(subtask: ScoredSubtask, record: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a line for each answer that was graded; `record` is the record of the whole subtask."""
    targets = _targets(subtask)
    for answer in subtask.answers():
        if answer.score is not None:
            group = answer.sample.get("group")
            name, target = targets.get(group) or targets[None]
            line = {
                "schema_version": record["schema_version"],
                "evaluation_id": record["evaluation_id"],
                "model_id": record["model_info"]["id"],
                "evaluation_name": name,
                "evaluation_result_id": target,
                **_content(subtask, answer, answer.score),
            }
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _targets(subtask: ScoredSubtask) -> dict[str | None, tuple[str, str]]:
    """Return for each group, and for None, the row and the id of the metric that its answers are part of."""
    headline = subtask.headline
    found: dict[str | None, tuple[str, str]] = {}
    for name, metric in subtask.metrics:
        if metric.group is not None or metric == headline:
            found.setdefault(metric.group, (name, result_id(name, metric)))
    if None not in found:
        name, metric = subtask.metrics[0]
        found[None] = (name, result_id(name, metric))
    return found


def _content(subtask: ScoredSubtask, answer: Answer, score: Row) -> dict[str, Any]:
    raw, references = question(answer), answer.references
    hashed = json.dumps({"raw": raw, "reference": references}, sort_keys=True, ensure_ascii=False)
    choices = [as_text(choice) for choice in answer.sample.get("choices") or ()]
    messages = conversation(subtask, answer)
    line: dict[str, Any] = {
        "sample_id": answer.id,
        "sample_hash": hashlib.sha256(hashed.encode()).hexdigest(),
        "input": {
            "raw": raw,
            "formatted": prompt_text(answer),
            "reference": references,
            **({"choices": choices} if choices else {}),
        },
    }
    several = is_conversation(answer) or calls_tools(answer)
    if several:
        line["interaction_type"] = "agentic" if calls_tools(answer) else "multi_turn"
        line["messages"] = [_message(number, message) for number, message in enumerate(messages)]
    else:
        line["interaction_type"] = "single_turn"
        line["output"] = _output(answer)
    line["answer_attribution"] = _attribution(score, len(messages) - 1 if several else 0, several=several)
    calls = sum(len(message.get("tool_calls") or ()) for message in messages)
    line["evaluation"] = {
        "score": score["value"],
        "is_correct": score["outcome"] == "correct",
        **({"num_turns": len(answer.turns), "tool_calls_count": calls} if several else {}),
    }
    if usage := token_usage(answer):
        line["token_usage"] = usage
    if performance := _performance(answer):
        line["performance"] = performance
    if answer.failure:
        line["error"] = answer.failure
    return {**line, "metadata": _metadata(answer, score)}


def _output(answer: Answer) -> dict[str, Any]:
    turn = answer.last
    likely = answer.most_likely
    text = turn["prediction"] or ""
    if likely is not None:
        choices = answer.sample.get("choices") or ()
        text = as_text(choices[likely]) if likely < len(choices) else str(likely)
    return {
        "raw": [text],
        **({"reasoning_trace": [turn["reasoning"]]} if turn.get("reasoning") else {}),
    }


def _message(number: int, message: Mapping[str, Any]) -> dict[str, Any]:
    calls = [_call(call, f"{number}.{place}") for place, call in enumerate(message.get("tool_calls") or ())]
    return {
        "turn_idx": number,
        "role": str(message["role"]),
        "content": content_text(message.get("content")) or None,
        **({"reasoning_trace": message["reasoning"]} if message.get("reasoning") else {}),
        **({"tool_calls": calls} if calls else {}),
        **({"tool_call_id": [str(message["tool_call_id"])]} if message.get("tool_call_id") else {}),
    }


def _call(call: Mapping[str, Any], fallback: str) -> dict[str, Any]:
    try:
        arguments = orjson.loads(call.get("arguments") or "{}")
    except (ValueError, TypeError):
        arguments = call.get("arguments")
    if not isinstance(arguments, Mapping):
        arguments = {"arguments": arguments}
    return {
        "id": str(call.get("id") or fallback),
        "name": str(call.get("name") or ""),
        "arguments": {str(key): as_text(value) for key, value in arguments.items()},
    }


def _attribution(score: Row, turn: int, *, several: bool) -> list[dict[str, Any]]:
    if score["answer"] is None:
        return []
    return [
        {
            "turn_idx": turn,
            "source": f"messages[{turn}].content" if several else "output.raw",
            "extracted_value": str(score["answer"]),
            "extraction_method": str(score["rule"] or score["evaluator"]),
            "is_terminal": True,
        }
    ]


def _performance(answer: Answer) -> dict[str, float]:
    """Return the times of an answer to one request; the times of several do not add up to a latency."""
    if is_conversation(answer):
        return {}
    turn = answer.last
    found = {theirs: turn[ours] for theirs, ours in PERFORMANCE.items() if turn.get(ours) is not None}
    if len(found) == 2:
        found["generation_time_ms"] = max(0.0, turn["e2el_ms"] - turn["ttft_ms"])
    return found


def _metadata(answer: Answer, score: Row) -> dict[str, str]:
    return texts(
        {
            "repeat": answer.repeat,
            "outcome": score["outcome"],
            "evaluator": score["evaluator"],
            "group": answer.sample.get("group"),
            "finish_reason": answer.last.get("finish_reason"),
            "logprobs": answer.last.get("logprobs") or None,
            "fields": answer.fields or None,
        }
        | {f"score.{other['evaluator']}": other["value"] for other in answer.others}
    )
