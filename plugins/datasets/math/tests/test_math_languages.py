"""Word problems in eleven languages, and Chinese ones by school grade."""

import json
import re

import pytest

from aisb import Prediction
from aisb_engine._scoring.scoring import measure, score

PREFIXES = {
    "bn": "উত্তর",
    "de": "Antwort",
    "en": "Answer",
    "es": "Respuesta",
    "fr": "Réponse",
    "ja": "答え",
    "ru": "Ответ",
    "sw": "Jibu",
    "te": "సమాధానం",
    "th": "คำตอบ",
    "zh": "答案",
}


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    (root / "mgsm").mkdir()
    for position, lang in enumerate(PREFIXES):
        rows = [f'{lang} "{n}" + {n}?\t{2 * n * 1000 + position:,}\n' for n in range(1, 11)]
        (root / f"mgsm/mgsm_{lang}.tsv").write_text("".join(rows), encoding="utf-8")
    (root / "cmath").mkdir()
    rows = [{"grade": n % 6 + 1, "question": f"{n}加{n}是多少？", "golden": str(2 * n)} for n in range(30)]
    (root / "cmath/test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return root


async def values(plugins, task, samples, said, shift=0):
    rows = list(samples)
    predictions = [
        Prediction(sample.id, text=said(sample, rows[n - shift].target), finish_reason="stop")
        for n, sample in enumerate(rows)
    ]
    scores = await score(task, {sample.id: sample for sample in rows}, predictions, plugins)
    return scores, {one.value for one in scores["numeric-match"]}


@pytest.mark.parametrize("form", ["{prefix}: {gold}", "Q 5.\n**{prefix}：** {gold}\n", "\\boxed{{{gold}}}"])
async def test_an_answer_is_found_behind_each_languages_own_word(plugins, make_task, form):
    task, samples, _ = make_task("mgsm")

    def said(sample, gold):
        return form.format(prefix=PREFIXES[sample.group], gold=gold)

    assert len(samples) == 110
    assert (await values(plugins, task, samples, said))[1] == {1}
    assert (await values(plugins, task, samples, said, shift=1))[1] == {0}


def test_each_language_is_asked_in_its_own_words(make_task):
    _, samples, renderer = make_task("mgsm")
    for sample in samples:
        (message,) = renderer.request(sample).messages
        assert f"{PREFIXES[sample.group]}:" in message.content
        assert message.content.endswith(f"\n\n{sample.fields['question']}")


def test_eight_examples_are_of_the_same_language_and_never_the_question(make_task):
    _, samples, renderer = make_task("mgsm_gen_8_shot_cot_chat_prompt")
    for sample in samples:
        *shots, last = renderer.request(sample).messages
        assert len(shots) == 16
        assert all(re.fullmatch(r"[\d,]+\n", shot.content) for shot in shots[1::2])
        assert last.content not in [shot.content for shot in shots]


@pytest.mark.parametrize("form", ["所以\\boxed{%s}。", "答案是%s。", "最后一共%s个"])
async def test_chinese_problems_have_a_result_for_each_grade(plugins, make_task, form):
    task, samples, renderer = make_task("cmath")
    said = lambda _sample, gold: form.replace("%s", gold)  # noqa: E731 - one line says it
    scores, right = await values(plugins, task, samples, said)
    assert right == {1}
    assert (await values(plugins, task, samples, said, shift=1))[1] == {0}
    groups = {metric.group for metric in measure(task, scores, plugins)["numeric-match"]}
    assert groups == {None, *(f"grade-{n}" for n in range(1, 7))}
    assert "\\boxed{}" in renderer.request(samples.samples[0]).messages[0].content
