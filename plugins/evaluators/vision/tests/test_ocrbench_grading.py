"""OCRBench v2: each kind of question is graded by its own measure; the values are worked out by hand."""

import pytest

from aisb import PluginError, Sample
from aisb_evaluator_vision._ocrbench import GRADES, OCRBenchV2, read_table
from aisb_evaluator_vision._overlaps import reading_score
from aisb_evaluator_vision._tables import document_similarity, table_of_markdown, teds


def graded(kind, answer, target, **fields):
    return OCRBenchV2().score(answer, Sample("0", {"category": kind, **fields}, target)).value


TABLE = "<table><tr><td>a</td><td>bb</td></tr><tr><td>c</td><td>dd</td></tr></table>"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (TABLE, 1),
        (f"Here:\n```html\n<html><body>{TABLE}</body></html>\n```", 1),
        # 6 nodes below the table: 2 rows, 4 cells. One cell of 2 characters has another one: 0.5 of 6.
        (TABLE.replace("dd", "dx"), 1 - 0.5 / 6),
        # A row of 3 nodes is missing.
        ("<table><tr><td>a</td><td>bb</td></tr></table>", 1 - 3 / 6),
        # A cell that spans two columns is another cell.
        (TABLE.replace("<td>a", '<td colspan="2">a'), 1 - 1 / 6),
        ("no table", 0),
        ("", 0),
    ],
)
def test_teds_counts_what_must_change_of_all_nodes(given, value):
    assert teds(given, TABLE) == pytest.approx(value)


def test_a_table_of_markdown_is_compared_as_one_of_html():
    text = "Sure:\n| a | bb |\n|---|:--:|\n| c | dd |"
    assert teds(table_of_markdown(text), TABLE) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "target", "value"),
    [
        ("# One\ntext\nmore", "# Other\nwords\nhere", 1),
        # The target has ROOT, TITLE, a heading and 2 lines: 5 nodes, one of which is missing.
        ("# One\ntext", "# One\ntext\nmore", 1 - 1 / 5),
        ("", "# One\ntext", 1 - 2 / 4),
    ],
)
def test_documents_are_compared_by_their_structure(given, target, value):
    assert document_similarity(given, target) == pytest.approx(value)


def test_a_text_is_read_as_well_as_the_mean_of_four_measures_says():
    assert reading_score("", "a b") == 0
    same = "the quick brown fox jumps"
    # BLEU, F1 and similarity are 1; METEOR of 5 words in one chunk: 1 - 0.5 * (1 / 5) ** 3.
    assert reading_score(same, same) == pytest.approx((1 + (1 - 0.5 * 0.2**3) + 1 + 1) / 4)
    # Another last word: BLEU is (4/5 * 3/4 * 2/3 * 1/2) ** 0.25; METEOR has 4 of 5 words in one chunk:
    # 0.8 * (1 - 0.5 * (1 / 4) ** 3); F1 is 0.8; 5 of 25 characters differ.
    given = "the quick brown fox xxxxx"
    bleu, meteor = 0.2**0.25, 0.8 * (1 - 0.5 * 0.25**3)
    assert reading_score(given, same) == pytest.approx((bleu + meteor + 0.8 + 0.8) / 4)
    assert reading_score("我爱北京天安门", "我爱北京天安门") > 0.9


@pytest.mark.parametrize(
    ("kind", "answer", "target", "fields", "value"),
    [
        ("text recognition en", "It says EXIT.", ["exit"], {}, 1),
        ("text recognition en", "ENTRY", ["exit"], {}, 0),
        ("reasoning VQA en", "(B)", ["B"], {"eval": "multiple choice"}, 1),
        ("reasoning VQA en", "B because", ["B"], {"eval": "multiple choice"}, 0),
        ("cognition VQA en", "exit", ["Exit"], {"eval": "case sensitive"}, 0),
        # 5 words or more: the edit distance, from one half on. 1 of 19 characters differs.
        ("cognition VQA en", "one two three four x", ["one two three four 5"], {}, 1 - 1 / 20),
        ("cognition VQA en", "nothing alike", ["one two three four five"], {}, 0),
        ("cognition VQA cn", "答案是 北 京", ["北京"], {}, 1),
        ("reasoning VQA cn", "A", ["A"], {"eval": "multiple choice"}, 1),
        ("text counting en", "There are 12.", ["10"], {"eval": "regression"}, 0.8),
        ("text counting en", "4", ["10"], {"eval": "regression"}, 0),
        ("text counting en", "20", ["10"], {"eval": "regression"}, 0),
        ("text counting en", "it is 12", ["12"], {"eval": "exact match"}, 1),
        ("formula recognition en", "$ x ^ 2 $", ["x^2"], {}, 1),
        ("formula recognition cn", "\\text{面积} = 3", ["面积=3"], {}, 1),
        ("handwritten answer extraction cn", "A、C", ["AC"], {"question": "选择"}, 1),
        ("handwritten answer extraction cn", "A、D", ["AC"], {"question": "选择"}, 0),
        ("table parsing en", TABLE, [TABLE], {"question": "Give HTML."}, 1),
        ("table parsing en", "| a | bb |\n|--|--|\n| c | dd |", ["| a | bb |\n|---|---|\n| c | dd |"], {"question": "as Markdown"}, 1),
        ("chart parsing en", "```python\ndata = {'x': {'a': 1}}\n```", ["{'x': {'a': 1}}"], {}, 1),
        ("document parsing en", "# A\nb", ["# A\nb"], {}, 1),
        # 1 of 2 keys, and a third one that the form has not.
        ("key information extraction en", '{"name": "Ann", "sum": "7", "x": "1"}', ['{"name": "ann", "sum": "8"}'], {}, 1 / 3),
        ("key information extraction cn", '{"名": "甲"}', ["{'名': ['乙', '甲']}"], {}, 1),
        ("key information mapping en", "name: Ann", ["{'name': 'Ann'}"], {}, 1),
        # 50 × 50 in 100 × 50.
        ("text grounding en", "[1, 2, 3, 4] or rather (0, 0, 50, 50)", ["0", "0", "100", "50"], {}, 0.5),
        ("VQA with position en", '{"answer": "7", "bbox": [0, 0, 50, 50]}', ["7"], {"bbox_raw": "[0, 0, 100, 50]"}, 0.75),
        # 2 words are given, 3 are there, 1 is right in its place: 2 / (2 + 3).
        ("text spotting en", "[(0, 0, 10, 10, 'Stop'), (50, 50, 60, 60, 'no')]", ["x"],
         {"bbox_raw": "[[0,0,10,0,10,10,0,10],[50,50,60,50,60,60,50,60],[1,1,2,1,2,2,1,2]]", "content": "['STOP', 'go', 'a']"}, 0.4),
    ],
)  # fmt: skip
def test_each_kind_is_graded_by_its_own_measure(kind, answer, target, fields, value):
    assert graded(kind, answer, target, **fields) == pytest.approx(value)
    assert graded(kind, "", target, **fields) <= 0.5


def test_every_kind_of_the_benchmark_is_known_and_no_other():
    assert len(GRADES) == 30
    with pytest.raises(
        ValueError, match=r"category 'juggling' is not one of OCRBench v2; known: APP agent en"
    ):
        graded("juggling", "a", ["a"])


def test_a_reply_that_would_run_code_is_a_text():
    assert read_table("{'a': __import__('os').getcwd()}").get("a") != __file__
    assert read_table("[" * 100_000) == {}


def test_synonyms_without_wordnet_are_refused_with_how_to_get_it(monkeypatch, tmp_path):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(PluginError, match=r"python -m nltk\.downloader wordnet"):
        OCRBenchV2(synonyms=True)
