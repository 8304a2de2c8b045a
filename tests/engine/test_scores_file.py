"""The grades kept beside the results: what was graded is what is read."""

import pytest

from aisb._errors import RunError
from aisb._types import Score
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._record.scores import GradedAnswer, read_scores, write_scores


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "20261121_220301")


def test_scores_are_read_as_they_were_written(folder):
    first = Score(1.0, "correct", "anatomy/3", 0, "choice-match", "B", "boxed", (4, 5), "anatomy")
    failed = Score(0.0, "error", "anatomy/4", 1, "choice-match", details={"failure": "cut: \u2028</script>"})
    write_scores(folder, "sim", "mmlu", {"choice-match": [first, failed]})
    assert read_scores(folder, "sim", "mmlu") == [
        GradedAnswer("anatomy/3", 0, "choice-match", "correct", 1.0, "B", "boxed", (4, 5), {}),
        GradedAnswer(
            "anatomy/4", 1, "choice-match", "error", 0.0, None, "", None, {"failure": "cut: \u2028</script>"}
        ),
    ]


def test_a_subtask_that_was_not_scored_has_none(folder):
    assert read_scores(folder, "sim", "mmlu") is None


def test_a_damaged_file_says_how_it_is_made_again(folder):
    file = folder.scores("sim", "mmlu")
    file.parent.mkdir(parents=True)
    file.write_text('{"id": "1"}\n')
    with pytest.raises(
        RunError, match=r"mmlu_scores.jsonl is damaged: 'span'\n  score the run again: aisb score 2026"
    ):
        read_scores(folder, "sim", "mmlu")
