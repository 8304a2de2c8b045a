"""Grade long-text tasks by each set's own measure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts
from aisb_dataset_long._rows import EXAMS, longbench_sets
from aisb_evaluator_overlap import EditSimilarity, Rouge, TokenF1, mean_metrics
from aisb_evaluator_text import ChoiceMatch, NumericMatch, answer_line, number

_LETTERS = re.compile(r"(?<![A-Za-z])[(\[*]*([A-H](?:\s?[,、]?\s?(?:and\s)?[A-H])*)[)\]*.:,]*(?=[\s.,:;)]|$)")


def _figure(value: float) -> Score:
    return Score(value, details={"figures": {"score": value}})


class LongBenchScore(Evaluator):
    """The measure of each LongBench set: F1, ROUGE-L, class, number, or code similarity.

    Source: LongBench's eval.py and metrics.py.
    """

    reads = "text"

    def __init__(self) -> None:
        self._judges: dict[str, Evaluator] = {
            "f1": TokenF1(headline="f1"),
            "f1-zh": TokenF1(rules="chinese", headline="f1"),
            "rouge": Rouge(headline="rougeL", language="en"),
            "rouge-zh": Rouge(headline="rougeL", language="zh"),
            "code": EditSimilarity(),
        }

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade an answer by the measure of its row's set."""
        table = longbench_sets()[str(sample.fields["set"])]
        text = (answer or "").strip()
        if table.get("first_line"):
            text = text.split("\n")[0]
        metric = table["metric"]
        if metric == "label":
            classes = sample.fields["all_classes"]
            return _figure(max(_label(text, gold, classes) for gold in target_texts(sample)))
        if metric == "number":
            return _figure(max(_numbers(text, gold) for gold in target_texts(sample)))
        graded = self._judges[metric].score(text, sample)
        assert isinstance(graded, Score)  # noqa: S101 - none of these waits
        return _figure(graded.value)

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean score, also for each set and over the sets."""
        return mean_metrics(scores, ("score",))


def _label(text: str, gold: str, classes: Sequence[str]) -> float:
    """Return 1 ÷ the number of classes in the text if the correct one is among them, else 0."""
    named = [name for name in classes if name in text]
    named = [name for name in named if name == gold or name not in gold]
    return 1 / len(named) if gold in named else 0.0


def _numbers(text: str, gold: str) -> float:
    """Return the share of numbers in a text that equal the reference ("Paragraph 7" is 7)."""
    expected = re.findall(r"\d+", gold)[-1:]
    found = re.findall(r"\d+", text)
    return found.count(expected[0]) / len(found) if found and expected else 0.0


class LEvalScore(Evaluator):
    """The measure of each L-Eval set: letters, a number, True or False, text with the answer, or ROUGE-L."""

    reads = "text"

    def __init__(self) -> None:
        self._rouge = Rouge(headline="rougeL")
        self._texts = TokenF1(headline="contained")
        self._numbers, self._choices = NumericMatch(), ChoiceMatch()
        self._number, self._line = number(), answer_line()

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade one answer by the kind of its set."""
        text = (answer or "").strip()
        fields = sample.fields
        # Imported answers lack it.
        kind = str(fields["kind"]) if "kind" in fields else EXAMS.get(str(fields["set"]), "rouge")
        gold = str(sample.target)
        if kind == "rouge":
            return _figure(self._rouge.score(text, sample).value)
        if kind == "number":
            found = self._number(text, sample)
            return _figure(self._numbers.score(found.text if found else "", sample).value)
        line = self._line(text, sample)
        text = line.text if line else text
        if kind in {"letter", "letters"}:
            return _figure(float(letters(text) == "".join(sorted(set(gold)))))
        if kind == "label":
            words = re.findall(r"\b(?:true|false)\b", text.casefold())
            return _figure(float(words[:1] == [gold.casefold()]))
        if str(fields["set"]) == "codeU" and not line:  # the result of a call comes last
            text = text.splitlines()[-1] if text else ""
        return _figure(self._texts.score(text, sample).value)

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean score, also for each set and over the sets."""
        return mean_metrics(scores, ("score",))


def letters(text: str) -> str:
    """Return the distinct letters at the start of an answer, or of an answer of letters only, in order."""
    found = _LETTERS.search(text)
    return "".join(sorted(set(re.findall(r"[A-H]", found[1])))) if found else ""


class NeedleRecall(Evaluator):
    """The share of hidden facts that the answer contains, each as a separate word."""

    reads = "text"

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Search an answer for each target."""
        golds = target_texts(sample)
        words = {
            re.sub(r"\D", "", w) if w[0].isdigit() else w.casefold()
            for w in re.findall(r"\w[\w,]*", answer or "")
        }
        return _figure(sum(gold.casefold() in words for gold in golds) / len(golds))

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean share, also for each length."""
        return mean_metrics(scores, ("score",))
