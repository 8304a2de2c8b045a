"""Find the last word, and compare it as a number."""

from aisb import Evaluator, Extract, Metric, Score
from aisb.helpers import pattern, wilson

WORD = pattern(r"\S+(?=\s*$)")


def last_word():
    """The last word of the output."""

    def step(text, sample):
        word = WORD.search(text)
        return Extract(word[0], "last word", word.span()) if word else None

    return step


class SameNumber(Evaluator):
    """The answer is the same number as the target."""

    def score(self, answer, sample):
        return Score(
            float(answer.strip(" .%") == str(sample.target)), details={"even": sample.target[-1:] in "02468"}
        )

    def extra_metrics(self, scores):
        even = [score.value for score in scores if score.details.get("even")]
        share = sum(even) / len(even) if even else None
        low, high = wilson(share, len(even)) if even else (0.0, 1.0)
        return [Metric("even sums", share and 100 * share, 100 * low, 100 * high, count=len(even))]
