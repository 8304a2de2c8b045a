"""The grades of pages follow the published rules of OmniDocBench; expected values were calculated by hand."""

import subprocess
import sys

import pytest

from aisb import Sample
from aisb_evaluator_vision._omnidocbench import OmniDocBench, grade_page
from aisb_evaluator_vision._page_elements import page_elements
from aisb_evaluator_vision._page_matching import Pair, match_elements
from aisb_evaluator_vision._page_texts import plain_formula, plain_table, plain_words

pytest.importorskip("pylatexenc", reason="grading pages needs the extra [documents] of aisb-evaluator-vision")
TABLE = "<table><thead><tr><th>ab</th><th>cd</th></tr></thead><tbody><tr><td>e f</td><td>gh</td></tr></tbody></table>"
PLAIN_TABLE = (
    '<html><body><table border="1" ><tr><td>ab</td><td>cd</td></tr><tr><td>e f</td><td>gh</td></tr></table>'
    "</body></html>"
)
FIRST, SECOND, THIRD = "alpha beta gamma", "one two three four", "the last of them"


def text(order, words, category="text_block"):
    return {"category": category, "order": order, "text": words}


def formula(order, latex):
    return {"category": "equation_isolated", "order": order, "latex": latex}


def table(order, html=TABLE):
    return {"category": "table", "order": order, "html": html}


def edits(answer, *reference):
    return grade_page(answer, reference)["edit_distances"]


@pytest.mark.parametrize(
    ("page", "elements"),
    [
        ("# One\n\ntwo\nthree", [("text", "# One"), ("text", "two\nthree")]),
        ("one\ntwo", [("text", "one"), ("text", "two")]),
        ("a $x$ b\n\n$$y$$", [("text", "a $x$ b"), ("formula", "y"), ("inline", "x")]),
        ("\\[ z \\]\n\nthen \\(w\\)", [("formula", "z"), ("text", "then \\(w\\)"), ("inline", "w")]),
        ("```markdown\nword\n```\n![p](p.png)\n", [("text", "word")]),
        ("| a | b |\n|---|:-:|\n| c | d |\n\nend", [
            ("table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"), ("text", "end"),
        ]),
        ("a | b\n\nc", [("text", "a | b"), ("text", "c")]),
        ("<html><table><tr><td><table></table></td></tr></table></html>", [
            ("table", "<table><tr><td><table></table></td></tr></table>"),
        ]),
        ("\\begin{table}\\begin{tabular}{l}a\\end{tabular}\\end{table}", [
            ("latex_table", "\\begin{table}\\begin{tabular}{l}a\\end{tabular}\\end{table}"),
        ]),
        ("$$\\begin{array}{l} a=1 \\\\ b=2 \\end{array}$$", [("formula", "a=1"), ("formula", "b=2")]),
        ("$$\\begin{array}{ll} a & 1 \\end{array}$$", [("formula", "\\begin{array}{ll} a & 1 \\end{array}")]),
        ("\\section{Intro}\n\nwords", [("text", "Intro"), ("text", "words")]),
        ("<table><tr>", [("text", "<table><tr>")]),
        ("", []),
    ],
)  # fmt: skip
def test_a_page_is_split_into_paragraphs_formulas_and_tables(page, elements):
    assert [(one.kind, one.text) for one in page_elements(page)] == elements


def test_texts_are_compared_by_letters_and_digits():
    assert plain_words("# A *b*-c, d_e: 5 %\n中 文。") == "Abcd_e5中文"
    assert plain_words("area $x^2$ and $5$") == "areax2and5"
    assert plain_words("cut $\\left(x^{$ off").startswith("cut")


def test_formulas_are_compared_without_fonts_and_spaces():
    assert plain_formula("$$\nE = \\mathrm{M} c^2 \\tag{1}.\n$$") == "e={m}c^2"
    assert plain_formula("\\begin{aligned} a \\quad b \\end{aligned}") == "ab"


def test_tables_are_compared_by_their_cells_and_spans():
    assert plain_table(TABLE) == PLAIN_TABLE
    assert plain_table(TABLE.replace("\n", "").replace("<tr>", "\n <tr class='x'>\n")) == PLAIN_TABLE
    assert '<td colspan="2">x</td>' in plain_table(
        "<table><tr><td colspan='2' rowspan='1'><p>x</p></td></tr></table>"
    )
    assert plain_table("no table") == plain_table("") == ""


@pytest.mark.parametrize(
    ("reference", "reply", "pairs"),
    [
        ([FIRST, SECOND], [SECOND, FIRST], {((0,), (1,)), ((1,), (0,))}),
        # Nothing else is there, so even texts that are unlike are a pair.
        (["abc"], ["xyz"], {((0,), (0,))}),
        ([FIRST, SECOND], [SECOND], {((0,), ()), ((1,), (0,))}),
        # What belongs to no element of the reference is in no pair.
        ([FIRST], [FIRST, "something else entirely"], {((0,), (0,))}),
        # A paragraph that the reply cuts in two, and two that it joins.
        (["aaaa bbbb cccc dddd", SECOND], ["aaaa bbbb", "cccc dddd", SECOND], {((0,), (0, 1)), ((1,), (2,))}),
        ([FIRST, SECOND, THIRD], [FIRST + SECOND, THIRD], {((0, 1), (0,)), ((2,), (1,))}),
        ([], ["x"], set()),
        (["x", "y"], [], {((0,), ()), ((1,), ())}),
    ],
)  # fmt: skip
def test_elements_are_matched_by_their_edit_distance(reference, reply, pairs):
    assert set(match_elements(reference, reply)) == {Pair(*pair) for pair in pairs}


@pytest.mark.parametrize(
    ("answer", "reference", "distances"),
    [
        # 2 of 9 letters, and none of 9: 2 / 18 over the page.
        ("abcdefgXX\n\n123456789", [text(1, "abc def ghi"), text(2, "123 456 789")], {"text": 2 / 18, "order": 0}),
        # A missing paragraph of 9 letters; in the order one of two places is missing.
        ("abc def ghi", [text(1, "abc def ghi"), text(2, "123 456 789")], {"text": 9 / 18, "order": 1 / 2}),
        # Both are there in the wrong order: two changes of two places.
        ("123 456 789\n\nabc def ghi", [text(1, "abc def ghi"), text(2, "123 456 789")], {"text": 0, "order": 1}),
        # The second of three comes last: one place deleted and one inserted.
        (f"{FIRST}\n\n{THIRD}\n\n{SECOND}", [text(1, FIRST), text(2, SECOND), text(3, THIRD)], {"text": 0, "order": 2 / 3}),
        # e=mc^2 and e=mc^3 have 6 characters, one of which differs.
        ("$$E = mc^3$$", [formula(1, "$$E = mc^2$$")], {"formula": 1 / 6}),
        # A formula that the reply has as text is compared as text: E=mc² is Emc2 without its signs.
        ("E = mc2", [formula(1, "$$E = mc^2$$")], {"text": 0}),
        # The header may be there or not; it is in no distance.
        (f"HEAD OF PAGE\n\n{FIRST}", [text(None, "HEAD OF PAGE", "header"), text(1, FIRST)], {"text": 0, "order": 0}),
        (FIRST, [text(None, "HEAD OF PAGE", "header"), text(1, FIRST)], {"text": 0, "order": 0}),
        # Nothing is said of a figure.
        (FIRST, [{"category": "figure", "order": 1}, text(2, FIRST)], {"text": 0, "order": 0}),
        (TABLE, [table(1)], {"table": 0}),
        # One character of the normalised table differs.
        (TABLE.replace("gh", "gx"), [table(1)], {"table": 1 / len(PLAIN_TABLE)}),
        ("| ab | cd |\n|---|---|\n| e f | gh |", [table(1)], {"table": 0}),
        # A table in LaTeX is missing.
        ("\\begin{tabular}{ll} ab & cd \\\\ e f & gh \\end{tabular}", [table(1)], {"table": 1}),
        # The cells of a table that belongs to none are text.
        (f"{TABLE}<table><tr><td>{FIRST}</td></tr></table>", [table(1), text(2, FIRST)], {"table": 0, "text": 0, "order": 0}),
        ("", [text(1, FIRST), formula(2, "$$x$$"), table(3)], {"text": 1, "formula": 1, "table": 1, "order": 1}),
        ("anything", [], {}),
    ],
)  # fmt: skip
def test_a_page_has_the_edit_distance_of_each_kind_of_element(answer, reference, distances):
    assert edits(answer, *reference) == pytest.approx(distances)


@pytest.mark.parametrize(
    ("answer", "similarity", "structure"),
    [
        (TABLE, 1, 1),
        # 6 nodes below the table: 2 rows, 4 cells. One of two characters of a cell differs.
        (TABLE.replace("gh", "gx"), 1 - 0.5 / 6, 1),
        # A row with its two cells is missing.
        (TABLE.replace("<tr><td>e f</td><td>gh</td></tr>", ""), 1 - 3 / 6, 1 - 3 / 6),
        (TABLE.replace("<th>ab", "<th colspan='2'>ab"), 1 - 1 / 6, 1 - 1 / 6),
        ("none", 0, 0),
    ],
)
def test_tables_have_teds_with_and_without_their_words(answer, similarity, structure):
    graded = grade_page(answer, [table(1)])
    assert graded["table_teds"] == [pytest.approx(similarity)]
    assert graded["table_teds_structure"] == [pytest.approx(structure)]


def test_pages_are_averaged_over_those_that_have_an_element_and_tables_over_tables():
    pages = [
        Sample("0", {"elements": [text(1, "abcd")]}, ""),
        Sample("1", {"elements": [text(1, "abcd"), table(2), table(3, TABLE.replace("gh", "zz"))]}, ""),
        Sample("2", {"elements": [table(1)]}, ""),
    ]
    grader = OmniDocBench()
    scores = [
        grader.score(answer, page)
        for answer, page in zip(("abcx", f"abcd\n\n{TABLE}", None), pages, strict=True)
    ]
    # The first page: text 1/4, order 0. The second: text 0, order 0, half of its tables is missing.
    assert [score.value for score in scores] == pytest.approx([1 - 0.25 / 2, 1 - 0.5 / 3, 0])
    found = {metric.name: metric for metric in grader.summarize(scores)}
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(
        {
            "similarity": 100 - (12.5 + 0 + 75) / 3,
            "text_edit_distance": 12.5,
            "table_edit_distance": 75,
            "order_edit_distance": 0,
            "edit_distance": (12.5 + 75 + 0) / 3,
            "table_teds": 100 / 3,
            "table_teds_structure": 100 / 3,
        }
    )
    assert (found["table_teds"].count, found["text_edit_distance"].count) == (3, 2)
    assert found["edit_distance"].better == "lower"
    assert grader.ungraded_details(pages[2]) == scores[2].details


def test_no_page_takes_long():
    page = "\n\n".join(f"line {number} of a long reply" for number in range(20_000))
    assert edits(page, *(text(number, f"paragraph {number} of it") for number in range(1, 30)))["text"] < 1
    assert edits("<table><tr><td>" * 5000 + "$" * 5001, text(1, FIRST))["text"] > 0.9
    assert len(page_elements("\\begin{tabular}" * 10_000)) == 1


def test_a_missing_library_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['pylatexenc'] = None\n"
        "from aisb import PluginError\n"
        "from aisb_evaluator_vision._omnidocbench import OmniDocBench\n"
        "try:\n    OmniDocBench()\nexcept PluginError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "grading pages needs pylatexenc, which is not installed; "
        "run pip install 'aisb-evaluator-vision[documents]'\n"
    )
