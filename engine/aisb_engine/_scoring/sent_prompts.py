"""Give a judge the question as the model got it: the field `sent_prompt` of a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aisb._types import Sample

if TYPE_CHECKING:
    from aisb_engine._record.predictions import RenderedSample
    from aisb_engine._spec import Task


def with_sent_prompts(
    samples: Mapping[str, Sample], rendered: Iterable[RenderedSample], task: Task
) -> dict[str, Sample]:
    """Return samples with the field `sent_prompt`, the question as the model got it, for the judge.

    Few-shot examples are left out. Of several turns in one request, each has its role. Tasks with several
    requests per sample have no such field, because only the last reply is graded.
    """
    if not task.is_single:
        return dict(samples)
    with_shots = bool(task.prompt.shots)
    prompts = {one.sample.id: prompt_text(one.prompt, only_last=with_shots) for one in rendered}
    return {
        key: replace(sample, fields={**sample.fields, "sent_prompt": prompts.get(key)})
        for key, sample in samples.items()
    }


def prompt_text(prompt: str | Sequence[Mapping[str, Any]], *, only_last: bool = False) -> str:
    """Return a prompt as one text: its only user turn as it is, several turns with their roles."""
    if isinstance(prompt, str):
        return prompt
    turns = [(str(turn["role"]), _content_text(turn["content"])) for turn in prompt]
    if only_last or len(turns) == 1:
        return turns[-1][1] if turns else ""
    return "\n\n".join(f"{role}: {text}" for role, text in turns)


def _content_text(content: str | Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a turn; other parts by their kind."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", f"<{part.get('type', 'part')}>")) for part in content)
