"""Ask a judge model whether an answer is correct, and count its verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Annotated, Any

from aisb import Ask, Evaluator, Message, Metric, Prediction, Request, Sample, Score, UsageError
from aisb.helpers import Template, optional
from aisb_evaluator_judge._calibration import (
    calibration_error,
    compile_pattern,
    has_confidence,
    stated_confidence,
)
from aisb_evaluator_judge._candidate import JudgedText
from aisb_evaluator_judge._prompts import WITH_REFERENCE, WITHOUT_REFERENCE
from aisb_evaluator_judge._verdicts import read_verdict


class ModelJudge(Evaluator):
    """The verdict of a judge model on the answer; the majority if it is asked repeatedly."""

    reads = "text"

    def __init__(
        self,
        *,
        prompt: Annotated[
            str | None,
            "question: a template with fields of the row, {sent_prompt}, {prediction}, {target}, {verdicts}; "
            "default: whether the answer is correct, by the reference answer if there is one",
        ] = None,
        verdicts: Annotated[
            dict[str, float] | None,
            "verdicts in the order shown, with their values; default: CORRECT 1 and INCORRECT 0",
        ] = None,
        system: Annotated[str | None, "system message"] = None,
        swap: Annotated[bool, "ask again with the verdicts in the opposite order"] = False,
        repeats: Annotated[int, "number of times that each question is asked"] = 1,
        params: Annotated[
            dict[str, Any] | None, "generation parameters, which [judge] overrides; default: temperature 0"
        ] = None,
        confidence: Annotated[
            str | None,
            "pattern whose group is the stated confidence in percent: adds calibration_error",
        ] = None,
        ask: Ask | None = None,
    ) -> None:
        verdicts = {"CORRECT": 1.0, "INCORRECT": 0.0} if verdicts is None else verdicts
        if not 2 <= len(verdicts) <= len(ascii_uppercase):
            raise UsageError(
                f"verdicts must be 2 to {len(ascii_uppercase)}, each with its value "
                f"(there are {len(verdicts)})"
            )
        if len({verdict.upper() for verdict in verdicts}) < len(verdicts):
            raise UsageError(f"verdicts must differ in more than case: {', '.join(verdicts)}")
        if invalid := [f"{name} = {value}" for name, value in verdicts.items() if not 0 <= value <= 1]:
            raise UsageError(
                f"the value of a verdict is 0 (wrong) to 1 (right), and that of {invalid[0]} is not"
            )
        if repeats < 1:
            raise UsageError(f"repeats = {repeats}: a question is asked once or more")
        self.prompt = optional(prompt, "prompt")
        self.system = optional(system, "system")
        if self.prompt and (
            missing := {"prediction", "verdicts"}
            - {
                *self.prompt.names,
                *(self.system.names if self.system else ()),
            }
        ):
            raise UsageError(f"prompt lacks {{{min(missing)}}}, which the judge needs")
        self.verdicts = dict(verdicts)
        self.orders = [list(verdicts), list(verdicts)[::-1]] if swap else [list(verdicts)]
        self.repeats = repeats
        self.params = {"temperature": 0} if params is None else params
        self.questions_per_answer = len(self.orders) * repeats
        self.confidence = None if confidence is None else compile_pattern(confidence)
        self._ask = ask

    async def score(self, answer: str | None, sample: Sample) -> Score:
        """Ask the judge, and return the majority verdict of its valid replies."""
        if self._ask is None:
            raise UsageError("no judge model is set: --judge NAME")
        questions = [(order, repeat) for repeat in range(self.repeats) for order in self.orders]
        import asyncio

        requests = [self._request(answer or "", sample, order, repeat) for order, repeat in questions]
        replies = await asyncio.gather(*(self._ask(request) for request, _ in requests))
        failed = next((reply.failure for reply in replies if reply.failure), None)
        if failed:
            return Score(0.0, "error", details={"failure": f"judge: {failed.kind}: {failed.message}"})
        verdicts = [
            self._verdict(reply, order, judged_text)
            for reply, (order, _), (_, judged_text) in zip(replies, questions, requests, strict=True)
        ]
        score = self._counted(verdicts, replies)
        if self.confidence is None:
            return score
        return replace(
            score, details={**score.details, "confidence": stated_confidence(self.confidence, answer or "")}
        )

    def extra_metrics(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the rate of missing verdicts, and the judge's agreement with itself."""
        judged = [score.details for score in scores if "verdicts" in score.details]
        if not judged:
            return []
        missing = sum(details["verdict"] is None for details in judged)
        metrics = [Metric("without verdict", 100 * missing / len(judged), count=len(judged), better="lower")]
        if self.questions_per_answer > 1:
            shares = [details["agreement"] for details in judged]
            metrics.append(Metric("judge agreement", 100 * sum(shares) / len(shares), count=len(shares)))
        if self.confidence is not None:
            pairs = [(score.details["confidence"], score.value) for score in scores if has_confidence(score)]
            error = calibration_error(pairs)
            metrics.append(Metric("calibration_error", error, unit="%", count=len(pairs), better="lower"))
        return metrics

    def _request(
        self, answer: str, sample: Sample, order: Sequence[str], repeat: int
    ) -> tuple[Request, JudgedText]:
        """Return one question, and the answer as the question presents it.

        The engine identifies a question by its content; the sample's id is only for the log.
        """
        target = sample.target
        if isinstance(target, list | tuple):
            target = " or ".join(str(one) for one in target)
        lettered = zip(ascii_uppercase, order, strict=False)
        options = "\n".join(f"{letter}: {verdict}" for letter, verdict in lettered)
        fields = {**sample.fields, "prediction": answer, "target": target, "verdicts": options}
        prompt = self.prompt or self._default_prompt(fields)
        templates = [self.system, prompt] if self.system else [prompt]
        judged_text = JudgedText.of(answer, "\n".join(template.render(fields) for template in templates))
        fields["prediction"] = judged_text.enclosed
        texts = [
            (judged_text.note if "prediction" in template.names else "") + template.render(fields)
            for template in templates
        ]
        messages = [Message("system", text) for text in texts[:-1]] + [Message("user", texts[-1])]
        return Request(sample.id, repeat, messages=tuple(messages), params=self.params), judged_text

    def _default_prompt(self, fields: dict[str, Any]) -> Template:
        """Return the prompt for a task that has none, and add the question to the fields if it is missing.

        Raises:
            UsageError: the question is not known, as with several turns.
        """
        fields.setdefault("sent_prompt", fields.get("question"))
        if not fields["sent_prompt"]:
            raise UsageError(
                "the judge has no prompt, and the usual one needs a single question: write one in the task, "
                "as evaluate = [{use = 'judge', prompt = '… {prediction} … {verdicts}'}]"
            )
        empty = fields["target"] is None or not str(fields["target"]).strip()
        return WITHOUT_REFERENCE if empty else WITH_REFERENCE

    def _verdict(self, reply: Prediction, order: Sequence[str], judged_text: JudgedText) -> str | None:
        if reply.finish_reason == "length":
            return None  # a truncated reply may have ended differently
        return read_verdict(reply.text, dict(zip(ascii_uppercase, order, strict=False)), judged_text)

    def _counted(self, verdicts: Sequence[str | None], replies: Sequence[Prediction]) -> Score:
        """Count the verdicts: more than half of the valid ones must agree."""
        valid = Counter(verdict for verdict in verdicts if verdict is not None)
        verdict, votes = valid.most_common(1)[0] if valid else (None, 0)
        if 2 * votes <= valid.total():
            verdict = None
        details: dict[str, Any] = {
            "verdict": verdict,
            "verdicts": list(verdicts),
            "agreement": votes / len(verdicts),
            "judged": [reply.text for reply in replies],
        }
        if verdict is None:
            reason = "the judge contradicts itself" if valid else "the judge gave no valid verdict"
            return Score(0.0, "error", rule="no verdict", details={"failure": reason, **details})
        return Score(self.verdicts[verdict], details=details)
