"""Grade OCRBench v2: each of its thirty kinds of question by its authors' measure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, product
from typing import Annotated, Any

from aisb import Evaluator, Metric, Sample, Score
from aisb.helpers import target_texts
from aisb_evaluator_overlap import mean_metrics
from aisb_evaluator_vision._anls import similarity
from aisb_evaluator_vision._boxes import intersection_over_union
from aisb_evaluator_vision._overlaps import contained, reading_score, wordnet
from aisb_evaluator_vision._tables import document_similarity, html_table, table_of_markdown, teds

_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_PAIR = re.compile(r"[\"']?([\w\s]+?)[\"']?\s*[:=]\s*[\"']?([^\n,\"'{}]+)[\"']?")
_CORNERS = re.compile(r"[\[(]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[\])]")
_SPOTTED = re.compile(r"[\[(]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*([^\[\]()]*?)\s*[\])]")
MAX_ALTERNATIVES = 1000
"""The maximum number of alternatives of a form to compare."""
FEW_WORDS, FEW_PARTS = 5, 4
HALF = 0.5


class OCRBenchV2(Evaluator):
    """A share from 0 to 1 by the kind of question, the field `category`: ANLS, TEDS, F1, IoU and more.

    Source: Fu et al., OCRBench v2, https://arxiv.org/abs/2501.00321, and its evaluation.
    """

    reads = "text"

    def __init__(
        self,
        *,
        synonyms: Annotated[
            bool, "METEOR matches synonyms, by NLTK's WordNet; false: only words and stems"
        ] = False,
    ) -> None:
        self._synonyms = wordnet() if synonyms else None

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Grade one answer by its kind."""
        kind = str(sample.fields.get("category", "")).strip()
        grade = GRADES.get(kind)
        if grade is None:
            raise ValueError(
                f"category {kind!r} is not one of OCRBench v2; known: {', '.join(sorted(GRADES))}"
            )
        value = grade(answer or "", list(target_texts(sample)), {**sample.fields, "synonyms": self._synonyms})
        return Score(value, details={"figures": {"score": value}})

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the mean score in percent."""
        return mean_metrics(scores, ("score",))


Fields = Mapping[str, Any]
OcrGrade = Callable[[str, list[str], Fields], float]


def _question(given: str, targets: list[str], fields: Fields) -> float:
    way = str(fields.get("eval", ""))
    if way == "multiple choice":
        return float("".join(c for c in given if c.isalpha()) in targets)
    if way == "case sensitive":
        return _near(given, targets)
    return _near(given.lower(), [target.lower() for target in targets])


def _near(given: str, targets: list[str]) -> float:
    """Return 1 if the answer contains a short target, else its similarity to a long one."""
    given = given.strip().replace("\n", " ")
    plain = [target.strip().replace("\n", " ") for target in targets]
    return max((_near_one(given, one, short=len(one.split()) < FEW_WORDS) for one in plain), default=0.0)


def _near_one(given: str, target: str, *, short: bool) -> float:
    if short:
        return float(target in given)
    alike = similarity(given, target)
    return alike if alike >= HALF else 0.0


def _chinese_question(given: str, targets: list[str], fields: Fields) -> float:
    if fields.get("eval") in {"multiple choice", "case sensitive"}:
        return _question(given, targets, fields)
    given = re.sub(r"[ \n]", "", given.lower().strip())
    plain = [re.sub(r"[ \n]", "", target.lower().strip()) for target in targets]
    return max((_near_one(given, one, short=len(one.split(",")) < FEW_PARTS) for one in plain), default=0.0)


def _counting(given: str, targets: list[str], fields: Fields) -> float:
    if fields.get("eval") != "regression":
        return float(any(target.lower().strip() in given for target in targets))
    found = re.search(r"\d+", given)
    shares = [1 - abs(int(found[0]) - int(target)) / int(target) for target in targets if found]
    return max((share for share in shares if share > HALF), default=0.0)


def _formula(given: str, targets: list[str], fields: Fields) -> float:
    del fields
    return contained(given, targets)


def _chinese_formula(given: str, targets: list[str], fields: Fields) -> float:
    del fields
    plain = [re.sub(r"\\text\{([^{}]*)\}", r"\1", text) for text in (given, *targets)]
    return contained(plain[0], plain[1:])


def _reading(given: str, targets: list[str], fields: Fields) -> float:
    return max((reading_score(given, target, fields["synonyms"]) for target in targets), default=0.0)


def _handwriting(given: str, targets: list[str], fields: Fields) -> float:
    if "简答" in str(fields.get("question", "")):
        return _reading(given, targets, fields)
    joiners = ("", ".", ". ", ",", ", ", "、", ";", "; ", " ", "和")
    return float(any(joiner.join(target) in given for target in targets for joiner in joiners))


def _table(given: str, targets: list[str], fields: Fields) -> float:
    if (
        "markdown" in str(fields.get("question", "")).lower()
        and "html" not in str(fields["question"]).lower()
    ):
        return max(teds(table_of_markdown(given), table_of_markdown(target)) for target in targets)
    return max(teds(given, target) for target in targets)


def _chart(given: str, targets: list[str], fields: Fields) -> float:
    del fields
    return max(teds(_as_table(read_table(given)), _as_table(read_table(target))) for target in targets)


def _as_table(found: Mapping[str, Any]) -> str:
    return html_table([str(key), str(value)] for key, value in found.items()) if found else ""


def _document(given: str, targets: list[str], fields: Fields) -> float:
    del fields
    return max(document_similarity(given, target) for target in targets) if given else 0.0


def _form(given: str, targets: list[str], fields: Fields) -> float:
    """Return the share of keys with the right value, the best over all ways to fill the form."""
    del fields
    found = {key: _squeezed(value) for key, value in read_table(given).items()}
    best = 0.0
    for target in targets:
        wanted = read_table(target)
        values = [value if isinstance(value, list) else [value] for value in wanted.values()]
        for way in islice(product(*values), MAX_ALTERNATIVES):
            right = {key: _squeezed(value) for key, value in zip(wanted, way, strict=True)}
            keys = {*found, *right}
            same = sum(key in found and found[key] == right.get(key) for key in keys)
            best = max(best, same / len(keys) if keys else 0.0)
    return best


def _squeezed(value: Any) -> str:
    return re.sub(r"[ \n]", "", str(value).lower().strip())


def read_table(text: str) -> dict[str, Any]:
    """Parse names and values from a text: JSON, a Python literal, or lines `name: value`."""
    fences = _FENCE.findall(text)
    text = max(fences, key=len) if fences else text.strip()
    text = re.sub(r"^\s*\w+\s*=\s*(?=\{)", "", text)
    text = text[: text.rfind("}") + 1] or text
    for read in (json.loads, ast.literal_eval):  # only literals: nothing in a reply is run
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(found, dict):
            return {str(key).strip(): value for key, value in found.items()}
    return {key.strip(): value.strip() for key, value in _PAIR.findall(text)}


def _grounding(given: str, targets: list[str], fields: Fields) -> float:
    del fields
    found = [[float(side) for side in match] for match in _CORNERS.findall(given)]
    box = [float(side) for side in targets]
    return intersection_over_union(found[-1], box) if found and len(box) == 4 else 0.0


def _question_with_place(given: str, targets: list[str], fields: Fields) -> float:
    """Return the mean of the answer's grade and of the box's intersection over union."""
    found = read_table(given)
    text_share = _question(str(found["answer"]), targets, {}) if "answer" in found else 0.0
    numbers = [float(one) for one in re.findall(r"\d+", str(found.get("bbox", "")))]
    box = [float(one) for one in re.findall(r"\d+", str(fields.get("bbox_raw", "")))]
    place = intersection_over_union(numbers, box) if len(numbers) == len(box) == 4 else 0.0
    return (text_share + place) / 2


def _spotting(given: str, targets: list[str], fields: Fields) -> float:
    """Return the harmonic mean of precision and recall over words read correctly at their positions."""
    del targets
    places, words = _literal(fields.get("bbox_raw")), _literal(fields.get("content"))
    wanted = [(_around(place), str(word)) for place, word in zip(places, words, strict=False)]
    found = [
        ([float(side) for side in match[:4]], match[4].strip("\"' ")) for match in _SPOTTED.findall(given)
    ]
    unmatched, right = list(wanted), 0
    for box, text in dict.fromkeys((tuple(box), text) for box, text in found):
        for one in unmatched:
            if intersection_over_union(box, one[0]) > HALF and text.lower() == one[1].lower():
                unmatched.remove(one)
                right += 1
                break
    count = len(dict.fromkeys((tuple(box), text) for box, text in found))
    return 2 * right / (count + len(wanted)) if right else 0.0


def _literal(text: Any) -> list[Any]:
    try:
        found = ast.literal_eval(str(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return list(found) if isinstance(found, list | tuple) else []


def _around(place: Sequence[float]) -> list[float]:
    """Return the box around a polygon, which is given as x, y, x, y and so on."""
    return [min(place[0::2]), min(place[1::2]), max(place[0::2]), max(place[1::2])]


_SEEN = (
    "APP agent", "ASCII art classification", "math QA", "reasoning VQA", "science QA", "text recognition",
    "document classification", "cognition VQA", "diagram QA",
)  # fmt: skip
GRADES: Mapping[str, OcrGrade] = {
    **{f"{kind} en": _question for kind in _SEEN},
    "cognition VQA cn": _chinese_question,
    "reasoning VQA cn": _chinese_question,
    "text counting en": _counting,
    "formula recognition en": _formula,
    "formula recognition cn": _chinese_formula,
    "fine-grained text recognition en": _reading,
    "full-page OCR en": _reading,
    "full-page OCR cn": _reading,
    "text translation cn": _reading,
    "handwritten answer extraction cn": _handwriting,
    "table parsing en": _table,
    "table parsing cn": _table,
    "chart parsing en": _chart,
    "document parsing en": _document,
    "document parsing cn": _document,
    "key information extraction en": _form,
    "key information extraction cn": _form,
    "key information mapping en": _form,
    "text grounding en": _grounding,
    "VQA with position en": _question_with_place,
    "text spotting en": _spotting,
}
"""The grading function of each kind of question."""
