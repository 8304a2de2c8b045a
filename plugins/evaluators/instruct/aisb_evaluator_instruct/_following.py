"""Grade an answer by the instructions that it follows: strictly, and loosely, without surrounding lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import product
from typing import Annotated, Any

from aisb import Evaluator, Metric, PluginError, Sample, Score
from aisb.helpers import clustered, pass_at_k
from aisb_evaluator_instruct import _ifbench as ifbench
from aisb_evaluator_instruct import _ifeval as ifeval

CHECKS = ifeval.IFEVAL_CHECKS | ifbench.IFBENCH_CHECKS
_LIBRARIES = ("langdetect", "syllapy", "textblob")


class Instructions(Evaluator):
    """Correct if the answer strictly follows all instructions of its row.

    A row has `instruction_id_list`, and `kwargs` with the arguments of each. The loose verdict also accepts
    the answer without its first line, its last line, or its asterisks. All instructions of a row count, also
    without an answer.
    """

    grades_none = True
    reads = "text"

    def __init__(
        self,
        *,
        ids: Annotated[str, "field with the names of the instructions"] = "instruction_id_list",
        arguments: Annotated[str, "field with the arguments of each instruction"] = "kwargs",
    ) -> None:
        missing = [name for name in _LIBRARIES if find_spec(name) is None]
        if missing:
            raise PluginError(
                f"checking instructions needs {', '.join(missing)}: pip install aisb-evaluator-instruct"
            )
        self.ids = ids
        self.arguments = arguments

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Check each instruction of one row."""
        names = sample.fields.get(self.ids)
        values = sample.fields.get(self.arguments)
        if not isinstance(names, list | tuple) or not names:
            return Score(
                0.0, "error", details={"raised": f"the row has no instructions in the field {self.ids!r}"}
            )
        if not isinstance(values, list | tuple) or len(values) != len(names):
            return self._error(
                f"the field {self.arguments!r} is a list with the arguments of each instruction", sample
            )
        if unknown := [name for name in names if name not in CHECKS]:
            return self._error(f"the instruction {unknown[0]!r} is unknown", sample)
        text = answer or ""
        if not text.strip():
            return Score(0.0, "unparsed", details=self.ungraded_details(sample))
        strict, loose = [], []
        for name, some in zip(names, values, strict=True):
            arguments = {key: value for key, value in (some or {}).items() if value is not None}
            arguments.setdefault("prompt", sample.fields.get("prompt"))
            strict.append(_follows(name, text, arguments))
            loose.append(strict[-1] or any(_follows(name, one, arguments) for one in variants(text)))
        details = {"instructions": list(names), "strict": strict, "loose": loose}
        return Score(1.0 if all(strict) else 0.0, details=details)

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return that no instruction of a row was followed."""
        names = sample.fields.get(self.ids)
        names = list(names) if isinstance(names, list | tuple) else []
        failed = [False] * max(1, len(names))
        return {"instructions": names, "strict": failed, "loose": failed}

    def _error(self, what: str, sample: Sample) -> Score:
        return Score(0.0, "error", details={"raised": what, **self.ungraded_details(sample)})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the share of followed prompts and instructions; with repeats, also pass@n."""
        if not scores:
            return []
        found: list[Metric] = []
        for rule in ("strict", "loose"):
            verdicts = [list(score.details.get(rule, [False])) for score in scores]
            of = [[float(all(one))] for one in verdicts]
            found.append(_metric(f"Prompt-level-{rule}-accuracy", of, clustered(_by_sample(scores, of))))
            of = [[float(holds) for holds in one] for one in verdicts]
            found.append(_metric(f"Inst-level-{rule}-accuracy", of, clustered(_by_sample(scores, of))))
        return [*found, *_pass_rates(scores)]


def variants(text: str) -> Iterator[str]:
    """Yield an answer without its first line, its last line and its asterisks, in all combinations."""
    lines = text.split("\n")
    for first, last, stars in product((0, 1), (0, 1), (False, True)):
        if first or last or stars:
            body = "\n".join(lines[first : len(lines) - last]).strip()
            yield body.replace("*", "") if stars else body


def _follows(name: str, text: str, arguments: Mapping[str, Any]) -> bool:
    try:
        return bool(text.strip()) and bool(CHECKS[name](text, arguments))
    except KeyError as error:
        raise ValueError(f"the instruction {name!r} needs the argument {error.args[0]!r}") from error


def _pass_rates(scores: Sequence[Score]) -> Iterator[Metric]:
    """Yield pass@n for n repeats of each sample, over all samples and for each group."""
    repeats = max(score.repeat for score in scores) + 1
    if repeats == 1:
        return
    for group in (None, *dict.fromkeys(score.group for score in scores if score.group is not None)):
        members = [score for score in scores if group is None or score.group == group]
        right = Counter(score.sample_id for score in members if score.outcome == "correct")
        clusters: dict[str, list[float]] = {}
        for sample_id, cluster in {score.sample_id: score.cluster for score in members}.items():
            rate = pass_at_k(repeats, right[sample_id], repeats)
            clusters.setdefault(cluster or f"\0{sample_id}", []).append(rate)
        rates = [rate for cluster in clusters.values() for rate in cluster]
        low, high = clustered(clusters.values(), trials=repeats * len(rates))
        share = sum(rates) / len(rates)
        yield Metric(f"pass@{repeats}", 100 * share, 100 * low, 100 * high, "%", len(rates), group)


def _by_sample(scores: Sequence[Score], values: Sequence[Sequence[float]]) -> list[list[float]]:
    """Group values by sample; repeats of a sample are in one list."""
    found: dict[str, list[float]] = {}
    for score, own in zip(scores, values, strict=True):
        found.setdefault(score.sample_id, []).extend(own)
    return list(found.values())


def _metric(name: str, values: Sequence[Sequence[float]], interval: tuple[float, float]) -> Metric:
    flat = [one for own in values for one in own]
    return Metric(name, 100 * sum(flat) / len(flat), 100 * interval[0], 100 * interval[1], "%", len(flat))
