"""Grade a page in Markdown: text, formulas, tables and reading order, as OmniDocBench does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any

from aisb import Evaluator, Metric, PluginError, Sample, Score
from aisb.helpers import mean_interval
from aisb_evaluator_vision._page_elements import PageElement, formula_rows, page_elements
from aisb_evaluator_vision._page_matching import Pair, distances, match_elements, nearest_pairs
from aisb_evaluator_vision._page_texts import plain_formula, plain_table, plain_words, words_of_formula
from aisb_evaluator_vision._tables import teds

TEXTS = frozenset({"text_block", "title", "code_txt", "code_txt_caption", "reference"})
IGNORED = frozenset(
    {
        "figure_caption", "figure_footnote", "table_caption", "table_footnote", "code_algorithm",
        "code_algorithm_caption", "header", "footer", "page_footnote", "page_number", "equation_caption",
    }
)  # fmt: skip
"""Categories that a reply may contain and that are not graded."""
FORMULA, TABLE = "equation_isolated", "table"
SAME = 0.25
"""Below this distance from an ignored element, an element of a reply is ignored, too."""
KINDS = ("text", "formula", "table", "order")
_CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.DOTALL)


class OmniDocBench(Evaluator):
    """Edit distances of text, formulas, tables and reading order of a page, and TEDS of its tables.

    The answer is Markdown, with tables in HTML or Markdown. The field `elements` holds the reference: a list
    of `category`, `order`, and `text`, `latex` or `html`. A page counts 1 − the mean of its edit distances.
    Formulas have no CDM, which needs TeX: their edit distance is given. A table in LaTeX counts as missing.
    Source: Ouyang et al., OmniDocBench, https://arxiv.org/abs/2412.07626, and its end-to-end evaluation.
    """

    reads = "text"
    grades_none = True

    def __init__(self) -> None:
        _require_libraries()

    def score(self, answer: str | None, sample: Sample) -> Score:
        """Compare one page with its reference."""
        return _score_of(grade_page(answer or "", sample.fields["elements"]))

    def ungraded_details(self, sample: Sample) -> Mapping[str, Any]:
        """Return what an empty page would get."""
        return _score_of(grade_page("", sample.fields["elements"])).details

    def summarize(self, scores: Sequence[Score]) -> list[Metric]:
        """Return the similarity, mean edit distances over pages, and mean TEDS over tables, in percent."""
        edits = {kind: _mean(f"{kind}_edit_distance", _edits(scores, kind), "lower") for kind in KINDS}
        known = [metric.value for metric in edits.values() if metric.value is not None]
        overall = fsum(known) / len(known) if known else None
        return [
            Metric("similarity", None if overall is None else 100 - overall, count=len(scores)),
            *(metric for metric in edits.values() if metric.count),
            Metric("edit_distance", overall, count=len(scores), better="lower"),
            *(
                _mean(name, values, "higher")
                for name in ("table_teds", "table_teds_structure")
                if (values := _tables(scores, name))
            ),
        ]


def _require_libraries() -> None:
    try:
        import pylatexenc  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        raise PluginError(
            f"grading pages needs {error.name}, which is not installed; "
            "run pip install 'aisb-evaluator-vision[documents]'"
        ) from error


def _score_of(graded: Mapping[str, Any]) -> Score:
    distances_of_page = list(graded["edit_distances"].values())
    value = 1 - fsum(distances_of_page) / len(distances_of_page) if distances_of_page else 0.0
    return Score(value, details=graded)


def _edits(scores: Sequence[Score], kind: str) -> list[tuple[str, float]]:
    found = [(score, score.details.get("edit_distances", {}).get(kind)) for score in scores]
    return [(score.sample_id, value) for score, value in found if value is not None]


def _tables(scores: Sequence[Score], name: str) -> list[tuple[str, float]]:
    return [(score.sample_id, value) for score in scores for value in score.details.get(name, ())]


def _mean(name: str, values: Sequence[tuple[str, float]], better: Any) -> Metric:
    """Return the mean in percent; values of one page are a cluster for the interval."""
    if not values:
        return Metric(name, None, better=better)
    percent = [100 * value for _, value in values]
    low, high = mean_interval(percent, [page for page, _ in values]) or (None, None)
    low, high = (None if end is None else min(100.0, max(0.0, end)) for end in (low, high))
    return Metric(name, fsum(percent) / len(percent), low, high, "%", len(values), better=better)


def grade_page(answer: str, reference: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the edit distances of the kinds of element that a page has, and TEDS of each of its tables."""
    ordered = sorted(reference, key=lambda element: element.get("order") or 0)
    written = page_elements(answer)
    tables = _match_tables([one for one in ordered if one["category"] == TABLE], written)
    texts, formulas, order = _match_texts(ordered, [*_outside_of_tables(written), *tables["spare"]])
    found = {
        "text": _share(texts),
        "formula": _share(formulas),
        "table": _share(tables["pairs"]),
        "order": order,
    }
    graded: dict[str, Any] = {
        "edit_distances": {kind: value for kind, value in found.items() if value is not None}
    }
    if tables["pairs"]:
        graded["table_teds"] = [teds(given, target) for target, given in tables["pairs"]]
        graded["table_teds_structure"] = [
            teds(given, target, structure_only=True) for target, given in tables["pairs"]
        ]
    return graded


def _share(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return the characters to change, divided by those of the longer text of each pair; None if empty."""
    from rapidfuzz.distance import Levenshtein

    longest = sum(max(len(target), len(given)) for target, given in pairs)
    return sum(Levenshtein.distance(target, given) for target, given in pairs) / longest if longest else None


def _match_tables(reference: Sequence[Mapping[str, Any]], written: Sequence[PageElement]) -> dict[str, Any]:
    """Return pairs of tables, and the cells of tables that belong to none as elements of text."""
    targets = [text for one in reference if (text := plain_table(str(one.get("html") or "")))]
    found = [(one, plain_table(one.text)) for one in written if one.kind == "table"]
    if sum(one.kind == "latex_table" for one in written) > len(found):
        found = []
    matched = dict(nearest_pairs(targets, [text for _, text in found]))
    pairs = [(target, found[matched[at]][1] if at in matched else "") for at, target in enumerate(targets)]
    spare = [
        PageElement("text", cell, one.position)
        for at, (one, text) in enumerate(found)
        if targets and at not in matched.values()
        for cell in _CELL.findall(text)
    ]
    return {"pairs": pairs, "spare": spare}


def _outside_of_tables(written: Sequence[PageElement]) -> list[PageElement]:
    return [one for one in written if one.kind not in {"table", "latex_table"}]


def _match_texts(
    reference: Sequence[Mapping[str, Any]], written: Sequence[PageElement]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], float | None]:
    """Return pairs of texts, pairs of formulas, and the edit distance of the reading order."""
    targets = [target for one in reference for target in _targets(one)]
    given = [(one, text) for one in written if (text := _plain(one))]
    graded = [target for target in targets if target[0] not in IGNORED]
    ignored = [plain for category, plain, _, _ in targets if category in IGNORED]
    if ignored and given:
        near = distances(ignored, [text for _, text in given]).min(axis=0) < SAME
        if not len(targets) == len(given) == 1:
            given = [one for one, is_ignored in zip(given, near, strict=True) if not is_ignored]
    pairs = match_elements([plain for _, plain, _, _ in graded], [text for _, text in given])
    texts, formulas, placed = [], [], []
    for pair in pairs:
        category = _category(graded, pair)
        target = "".join(graded[at][1] for at in pair.reference)
        reply = "".join(given[at][1] for at in pair.reply)
        if category != FORMULA:
            texts.append((target, reply))
            position = given[pair.reply[0]][0].position if pair.reply else None
            placed.append((position, [graded[at][2] for at in pair.reference]))
        elif pair.reply and given[pair.reply[0]][0].kind == "text":
            texts.append(("".join(words_of_formula(graded[at][3]) for at in pair.reference), reply))
        else:
            formulas.append((target, reply))
    return texts, formulas, _order_distance(placed)


def _targets(element: Mapping[str, Any]) -> list[tuple[str, str, float | None, str]]:
    """Return category, normalised text, order and text of an element; nothing if it is not compared."""
    category, order = element["category"], element.get("order")
    if category == FORMULA:
        latex = str(element.get("latex") or "")
        found = [(category, plain_formula(row), order, row) for row in formula_rows(latex) or [latex]]
    elif category in TEXTS or category in IGNORED:
        text = str(element.get("text") or "")
        found = [(category, plain_words(text), order, text)]
    else:
        found = []
    return [one for one in found if one[1]]


def _plain(element: PageElement) -> str:
    return plain_words(element.text) if element.kind == "text" else plain_formula(element.text)


def _category(graded: Sequence[tuple[str, str, float | None, str]], pair: Pair) -> str:
    categories = [graded[at][0] for at in pair.reference]
    return max(dict.fromkeys(categories), key=categories.count)


def _order_distance(placed: Sequence[tuple[int | None, list[float | None]]]) -> float | None:
    """Return the edit distance of the order in which a reply has the elements, divided by their number."""
    from rapidfuzz.distance import Levenshtein

    right = sorted(order for _, orders in placed for order in orders if order is not None)
    found = sorted(
        ((position, orders) for position, orders in placed if position is not None), key=lambda one: one[0]
    )
    given = [order for _, orders in found for order in orders if order is not None]
    return float(Levenshtein.normalized_distance(right, given)) if right or given else None
