"""Partial credit: the figures are those of the official scripts, and only an answer that is right is right."""

import pytest

from aisb import Sample, Score
from aisb_evaluator_overlap._bleu import Bleu
from aisb_evaluator_overlap._edits import EditSimilarity
from aisb_evaluator_overlap._rouge import Rouge, shorten
from aisb_evaluator_overlap._words import TokenF1


def figures(judge, answer, target):
    return judge.score(answer, Sample("0", {}, target)).details["figures"]


@pytest.mark.parametrize(
    ("rules", "answer", "target", "exact", "f1", "contained"),
    [
        # SQuAD's evaluate-v1.1.py: punctuation, articles and case go; the best of all targets counts.
        ("squad", "The Denver Broncos.", ["Denver Broncos", "Broncos"], 1, 1, 1),
        ("squad", "Denver", ["Denver Broncos"], 0, 2 / 3, 0),
        ("squad", "It was the Denver Broncos who won", ["Denver Broncos"], 0, 0.5, 1),
        ("squad", "U.S.A.", ["USA"], 1, 1, 1),
        ("squad", "one two two", ["two two three"], 0, 2 / 3, 0),
        ("squad", "", ["x"], 0, 0, 0),
        ("squad", "anything", ["The"], 0, 0, 0),
        ("squad", "the", ["The"], 1, 1, 1),
        # TriviaQA: punctuation is a space, so that hyphens part words.
        ("trivia", "Spider-Man", ["spider man"], 1, 1, 1),
        ("trivia", "Believe", ["Eli"], 0, 0, 0),
        ("trivia", "Washington, D.C.", ["Washington D C"], 1, 1, 1),
        ("trivia", "The The", ["The The", "Matt Johnson"], 1, 1, 1),
        ("trivia", "Madness", ["The The"], 0, 0, 0),
        # DROP: numbers are compared as numbers, and a wrong number is worth nothing.
        ("drop", "24", ["24"], 1, 1, 1),
        ("drop", "24.0 yards", ["24 yards"], 1, 1, 1),
        ("drop", "2 yards", ["24 yards"], 0, 0, 0),
        ("drop", "240", ["24"], 0, 0, 0),
        ("drop", "-5", ["5"], 0, 0, 0),
        ("drop", "1,234", ["1234"], 1, 1, 1),
        ("drop", "the first-quarter score", ["first quarter"], 0, 0.8, 1),
        ("drop", "Chaz Schilens", ["JaMarcus Russell", "Chaz Schilens"], 1, 1, 1),
        ("chinese", "北京。", ["北京"], 1, 1, 1),
        ("chinese", "中国北京", ["北京"], 0, 2 / 3, 1),
        ("chinese", "上海", ["北京"], 0, 0, 0),
    ],
)
def test_words_are_compared_by_each_sets_own_rules(rules, answer, target, exact, f1, contained):
    found = figures(TokenF1(rules=rules), answer, target)
    assert found == pytest.approx({"exact_match": exact, "f1": f1, "contained": contained}, abs=0.006)


def test_rouge_is_that_of_googles_script():
    # "the cat sat" / "the cat sat on the mat": 3 of 6 words, 2 of 5 pairs, a subsequence of 3.
    found = figures(Rouge(), "the cat sat", "the cat sat on the mat")
    assert found == pytest.approx({"rouge1": 2 / 3, "rouge2": 4 / 7, "rougeL": 2 / 3, "rougeLsum": 2 / 3})
    found = figures(Rouge(), "mat the on", "the cat sat on the mat")
    assert found == pytest.approx({"rouge1": 2 / 3, "rouge2": 0, "rougeL": 4 / 9, "rougeLsum": 4 / 9})


def test_rouge_keeps_the_best_of_several_targets_and_stems_when_asked():
    assert figures(Rouge(), "b", ["a", "b"])["rouge1"] == 1
    assert figures(Rouge(), "running", "runs")["rouge1"] == 0
    assert figures(Rouge(stemmer=True), "running", "runs")["rouge1"] == 1


def test_chinese_rouge_counts_words_as_jieba_cuts_them_beyond_the_first_comma():
    found = figures(Rouge(), "今天天气很好，我们去公园。", "今天天气很好，我们去公园")
    assert found == {"rouge1": 1, "rouge2": 1, "rougeL": 1, "rougeLsum": 1}
    assert 0 < figures(Rouge(), "昨天天气很好", "今天天气很好")["rouge1"] < 1
    assert figures(Rouge(language="en"), "今天", "今天")["rouge1"] == 0


def test_bleu_is_that_of_the_whole_task_and_not_the_mean_of_its_samples():
    import sacrebleu

    answers = ["the cat is on the mat", "there is a dog", "no"]
    golds = ["the cat sat on the mat", "there was a dog in the house", "yes it is"]
    judge = Bleu()
    scores = [judge.score(a, Sample("0", {}, g)) for a, g in zip(answers, golds, strict=True)]
    (metric,) = judge.summarize(scores)
    assert metric.name == "bleu"
    assert metric.value == pytest.approx(sacrebleu.corpus_bleu(answers, [golds]).score)
    assert judge.score(golds[0], Sample("0", {}, golds[0])).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("answer", "target", "value"),
    [
        ("x = 1", "x = 1", 1),
        ("```python\n# set it\nx = 1  # one\ny = 2\n```", "x = 1  # one", 1),
        ("return a", "return b", 14 / 16),
        ("", "x", 0),
        ("# only a comment", "x", 0),
    ],
)
def test_the_first_line_of_code_is_compared(answer, target, value):
    assert figures(EditSimilarity(), answer, target)["edit_similarity"] == pytest.approx(value)


def test_figures_are_averaged_over_all_and_each_group_and_a_missing_answer_counts_zero():
    judge = TokenF1(headline="f1")
    rows = [("a1", "red fox", "red fox", "a"), ("a2", "red", "red fox", "a"), ("b1", "red", "blue", "b")]
    scores = [
        Score(**{**fields(judge.score(answer, Sample("", {}, gold))), "sample_id": i, "group": group})
        for i, answer, gold, group in rows
    ]
    scores.append(Score(0.0, "unparsed", sample_id="b2", group="b"))
    found = {(m.name, m.group): round(m.value, 2) for m in judge.summarize(scores)}
    assert found == {
        ("f1", None): 41.67,
        ("exact_match", None): 25,
        ("contained", None): 25,
        ("f1", "a"): 83.33,
        ("f1", "b"): 0,
        ("naive_average", None): 41.67,
        ("weighted_average", None): 41.67,
    }
    assert judge.summarize([]) == []


def fields(score):
    return {name: getattr(score, name) for name in Score.__slots__}


@pytest.mark.parametrize("headline", ["exact_match", "f1", "contained"])
def test_the_headline_is_a_samples_value_and_the_first_figure(headline):
    judge = TokenF1(headline=headline)
    score = judge.score("the red fox ran", Sample("0", {}, "red fox"))
    assert score.value == score.details["figures"][headline]
    assert judge.summarize([score])[0].name == headline


@pytest.mark.parametrize(
    ("answer", "target", "read"),
    [
        ("the cat sat on the mat", "the cat", "the cat sat on the "),
        ("12+34+56+78+90+11", "the cat", "12+34+56+78+90+"),
        ("猫坐在垫子上面", "猫坐", "猫坐在垫子"),
        ("the cat sat " + "." * 1000, "the cat", "the cat sat " + "." * 1000),
        ("one two three", "", "one two three"),
    ],
)
def test_of_an_endless_answer_the_beginning_is_compared(answer, target, read):
    assert shorten(answer, target, max_cells=10) == read


def test_an_answer_of_a_megabyte_is_compared_whole_with_a_short_target():
    answer = "the cat sat on the mat " * 45_000
    assert shorten(answer, "the cat sat on the mat again and again and again") == answer
