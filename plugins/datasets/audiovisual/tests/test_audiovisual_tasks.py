"""Every task on videos and sounds renders rows in the formats of upstream, and finds the clip of each."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from task_family import TaskFamily, check_alias

from aisb import DataError, Prediction
from aisb.helpers import wilson
from aisb_dataset_audiovisual._videomme import _subtitle_text
from aisb_dataset_audiovisual._vocalsound import SOUNDS
from aisb_engine._scoring.scoring import measure, score
from aisb_testing import make_mp4, make_wav

FAMILY = TaskFamily("aisb_dataset_audiovisual")
TASKS = FAMILY.tasks
ALIASES = FAMILY.aliases
NAMES = list(FAMILY.modes)
COUNT = 210
SUBTITLES = """1
00:00:01,000 --> 00:00:02,500
<i>Good morning</i>,
everyone.

2
00:00:03,000 --> 00:00:04,000
{\\an8}Clip 3 begins.
"""


def videomme(root):
    from pyarrow import Table, parquet

    rows = [
        {
            "video_id": f"{number:03d}",
            "duration": ("short", "medium", "long")[number % 3],
            "domain": ("Knowledge", "Sports")[number % 2],
            "sub_category": "Some",
            "url": "https://example.org",
            "videoID": f"clip{number // 3}",
            "question_id": f"{number}-1",
            "task_type": "Counting",
            "question": f"What happens in scene {number}?",
            "options": [f"{'ABCD'[n]}. event {n} of {number}" for n in range(4)],
            "answer": "ABCD"[number * 7 % 4],
        }
        for number in range(COUNT)
    ]
    folder = root / "Video-MME"
    for name in ("videomme", "video", "subtitle"):
        (folder / name).mkdir(parents=True)
    parquet.write_table(Table.from_pylist(rows), folder / "videomme/test-00000-of-00001.parquet")
    for number in range(COUNT // 3):
        (folder / f"video/clip{number}.mp4").write_bytes(make_mp4(b"%d" % number))
    (folder / "subtitle/clip1.srt").write_text(SUBTITLES)


def videobench(root):
    folder, answers = root / "videobench", {}
    for at, (name, options) in enumerate((("MSVD", 4), ("NBA", 6), ("SQA3D", 2))):
        (folder / f"Eval_video/{name}").mkdir(parents=True)
        rows = {}
        for number in range(70):
            key = f"v_{at}_{number}"
            (folder / f"Eval_video/{name}/{key}.mp4").write_bytes(make_mp4(key.encode()))
            choices = {"ABCDEF"[n]: f"thing {n}" if n < options else None for n in range(6)}
            rows[key] = {
                "video_id": key,
                "question": f"What is seen in {key}?",
                "vid_path": f"./data/Eval_video/{name}/{key}.mp4",
                "choices": choices,
            }
            answers.setdefault(name, {})[key] = {"video_id": key, "answer": "ABCDEF"[number * 7 % options]}
        (folder / f"{name}_QA_new.json").write_text(json.dumps(rows))
    (folder / "answer").mkdir()
    (folder / "answer/ANSWER.json").write_text(json.dumps(answers))


def vocalsound(root, folder="vocalsound"):
    (root / folder).mkdir(parents=True)
    for number in range(COUNT):
        name = f"{'fm'[number % 2]}{number:04d}_0_{SOUNDS[number * 5 % 6]}.wav"
        (root / folder / name).write_bytes(make_wav(0.01, 300 + number))


def write_rows(root):
    """Write this family's rows as its tasks look for them."""
    for made in (videomme, videobench, vocalsound):
        made(root)
    return root


async def scores(task, rows, golds, plugins, form="{0}"):
    predictions = [
        Prediction(row.id, text=form.format(of.target), finish_reason="stop")
        for row, of in zip(rows, golds, strict=True)
    ]
    return await score(task, {row.id: row for row in rows}, predictions, plugins)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["{0}", "The best answer is ({0})."])
async def test_gold_answers_score_100_and_those_of_other_rows_score_as_chance(plugins, make_task, name, form):
    task, samples, _ = make_task(name)
    rows = list(samples)
    assert len(rows) >= 200
    (right,) = (await scores(task, rows, rows, plugins, form)).values()
    assert [one for one in right if one.value != 1] == []
    (shuffled,) = (await scores(task, rows, Random(5).sample(rows, len(rows)), plugins, form)).values()
    share = sum(one.value for one in shuffled) / len(rows)
    same = Counter(row.target for row in rows)
    chance = sum(count**2 for count in same.values()) / len(rows) ** 2
    low, high = wilson(share, len(rows), 3)
    assert low <= chance <= high


async def test_results_of_videomme_are_averages_by_length(plugins, make_task):
    task, samples, _ = make_task("videomme")
    rows = list(samples)
    golds = [row if row.group == "short" else rows[(at + 1) % len(rows)] for at, row in enumerate(rows)]
    found = measure(task, await scores(task, rows, golds, plugins), plugins)["choice-match"]
    values = {metric.group: metric.value for metric in found if metric.name == "accuracy" and metric.group}
    assert values == {"short": 100, "medium": 0, "long": 0}
    assert next(one.value for one in found if one.name == "naive_average") == pytest.approx(100 / 3)


def test_a_question_on_a_video_is_asked_with_it_and_with_its_subtitles_where_asked(make_task, data):
    _, samples, renderer = make_task("videomme")
    sample = next(one for one in samples if one.fields["question"].endswith("scene 3?"))
    video, text = renderer.request(sample).messages[-1].content
    assert (video.kind, video.value) == ("video", (data / "Video-MME/video/clip1.mp4").as_uri())
    options = "".join(f"{'ABCD'[n]}. event {n} of 3\n" for n in range(4))
    assert text.value == (
        "\nThese are the frames of a video. Select the best answer to the following multiple-choice question based on the "
        "video. Respond with only the letter (A, B, C, or D) of the correct option.\n"
        f"Question: What happens in scene 3?\n{options}Answer: "
    )
    _, samples, renderer = make_task("videomme:subtitles")
    sample = next(one for one in samples if one.fields["question"].endswith("scene 3?"))
    _, text = renderer.request(sample).messages[-1].content
    assert text.value.startswith(
        "This video's subtitles are listed below:\nGood morning, everyone.\nClip 3 begins.\nSelect the best answer"
    )


def test_subtitles_are_what_is_said():
    assert _subtitle_text("") == ""
    assert _subtitle_text(
        "1\r\n00:00:01,0 --> 00:00:02,0\r\nOne\r\n\r\n2\r\n00:00:03.5 --> 00:00:04.0 align:start\r\n2 < 3\r\n"
    ) == ("One\n2 < 3")


def test_a_question_of_videobench_names_its_options_and_finds_its_video(make_task, data):
    _, samples, renderer = make_task("videobench")
    by_set = {one.group: one for one in reversed(list(samples))}
    video, text = renderer.request(by_set["NBA"]).messages[-1].content
    assert video.value == (data / "videobench/Eval_video/NBA/v_1_0.mp4").as_uri()
    assert text.value == (
        "What is seen in v_1_0?Choices: A.thing 0 B.thing 1 C.thing 2 D.thing 3 E.thing 4 F.thing 5 \n Among the six "
        "options A, B, C, D, E, F above, the one closest to the correct answer is: Please respond with only the "
        "corresponding options and do not provide any explanations or additional information. ASSISTANT:"
    )
    _, text = renderer.request(by_set["SQA3D"]).messages[-1].content
    assert (
        "v_2_0? A.thing 0 B.thing 1 \n Among the two options A, B above, the one closest to the correct answer is:  Please"
        in text.value
    )


def test_a_sound_is_asked_about_by_the_end_of_its_name(make_task, data, tmp_path):
    _, samples, renderer = make_task("vocalsound")
    sample = samples.samples[0]
    sound, text = renderer.request(sample).messages[-1].content
    assert (sound.kind, Path(sound.value).name) == ("audio", "f0000_0_laughter.wav")
    assert text.value == (
        "In this audio, what kind of sound can you hear? A: Laughter, B: Sigh, C: Cough, D: Throat clearing, E: Sneeze, "
        "F: Sniff, Please select the one closest to the correct answer. ASSISTANT:"
    )
    for folder in ("vocalsound/subset1", "vocalsound/audio_16k"):
        vocalsound(tmp_path / folder, folder)
        _, other, _ = make_task("vocalsound", tmp_path / folder)
        assert [one.target for one in other] == [one.target for one in samples]


def test_what_is_missing_is_named(make_task, tmp_path):
    (tmp_path / "vocalsound").mkdir()
    (tmp_path / "vocalsound/f1_0_yawn.wav").write_bytes(make_wav())
    with pytest.raises(
        DataError, match=r"f1_0_yawn.wav: its name ends in 'yawn', which is none of laughter, sigh"
    ):
        make_task("vocalsound", tmp_path)
    videobench(tmp_path)
    (tmp_path / "videobench/answer/ANSWER.json").write_text('{"MSVD": {}}')
    with pytest.raises(
        DataError, match=r"MSVD_QA_new.json, row 1: v_0_0: ANSWER.json has no answer for it under 'MSVD'"
    ):
        make_task("videobench", tmp_path)
    videomme(tmp_path)
    (tmp_path / "Video-MME/video/clip0.mp4").unlink()
    _, samples, renderer = make_task("videomme", tmp_path)
    with pytest.raises(DataError, match=r"there is no file 'Video-MME/video/clip0.mp4'; searched"):
        renderer.request(samples.samples[0])
    (tmp_path / "Video-MME/video/clip0.mp4").write_bytes(b"<html>404 not found</html>")
    with pytest.raises(DataError, match=r"clip0.mp4 is text/plain, not video"):
        renderer.request(samples.samples[0])
    (tmp_path / "Video-MME/video/clip0.mp4").write_bytes(make_wav())
    with pytest.raises(DataError, match=r"clip0.mp4 is audio/wav, not video"):
        renderer.request(samples.samples[0])


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_leads_to_a_task_and_a_variant_of_it(plugins, alias):
    check_alias(plugins, alias, ALIASES[alias])
