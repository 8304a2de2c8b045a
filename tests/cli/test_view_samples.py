"""The samples of `aisb view`: paged, filtered, searched and opened, over real run folders, in a real browser."""

from __future__ import annotations

import json
import shutil
from functools import partial
from urllib.parse import urlencode

import pytest
from made_runs import Made, answer, gsm8k_like
from viewed import View

from aisb import Failure, Sample

HOSTILE = (
    '</script><script>document.title="taken over"</script><img src=x onerror="document.title=\'taken over\'">'
    "<a href=\"javascript:document.title='taken over'\">\u202egnp.exe\u2066 \u2028"
)
LARGE, SMALL = "20261121_220301", "20261122_000000"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a run of 3000 answers, and a small one whose texts are hostile."""
    work = tmp_path_factory.mktemp("work")
    gsm8k_like(work, 3000)
    made = Made(work, SMALL)
    graded = {
        "value": 0.0,
        "outcome": "wrong",
        "answer": HOSTILE,
        "rule": HOSTILE,
        "details": {HOSTILE: HOSTILE},
    }
    sample = Sample(HOSTILE, {}, HOSTILE, (), HOSTILE)
    prompt = [{"role": "user", "content": HOSTILE}]
    reply = answer(HOSTILE, reasoning=HOSTILE, tool_calls=({"name": HOSTILE, "arguments": HOSTILE},))
    failed = {"failure": Failure("status", HOSTILE), "text": HOSTILE}
    made.add(
        HOSTILE.replace("/", "") + "model",
        "task<img src=x onerror=alert(1)>",
        [(sample, prompt)],
        [reply],
        [graded],
    )
    made.add("other", "failing", [(sample, HOSTILE)], [failed], [{**graded, "outcome": "error"}])
    made.done()
    notes = {"tags": [HOSTILE], "note": HOSTILE}
    (work / SMALL / "configs/notes.json").write_text(json.dumps(notes))
    return work


@pytest.fixture(scope="module")
def view(work):
    started = View(work, str(work))
    yield started
    assert started.stop() == 0


@pytest.fixture
def opened(browser, view):
    return partial(browser, asks=(view.url,))


def rows(view, **query):
    status, told = view.told(f"runs/{LARGE}/samples?{urlencode(query)}")
    assert status == 200, told
    return told


def read_lines(work, model):
    file = work / LARGE / "predictions" / model / "gsm8k.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_pages_hold_the_rows_that_were_asked_for_in_order(view, work):
    first = rows(view, limit=50)
    assert (first["total"], first["count"], len(first["rows"])) == (3000, 3000, 50)
    assert first["models"] == ["small", "large"]
    later = rows(view, offset=1000, limit=4)
    assert [(one["id"], one["model"]) for one in later["rows"]] == [
        ("500", "small"), ("500", "large"), ("501", "small"), ("501", "large"),
    ]  # fmt: skip
    assert "models" not in later
    assert rows(view, offset=2999, limit=50)["rows"][0]["id"] == "1499"
    assert rows(view, offset=3000)["rows"] == []
    lines = {line["id"]: line for line in read_lines(work, "small")}
    row = later["rows"][0]
    assert row["gold"] == lines["500"]["gold"]
    assert row["begins"][:20] == lines["500"]["origin_prompt"].rpartition("Question: ")[2][:20]


def test_outcomes_models_and_a_search_choose_rows_and_counts_add_up(view, work):
    everything = rows(view)
    some = rows(view, outcome="wrong", model="large")
    assert sum(everything["outcomes"]) == 3000
    assert sum(some["outcomes"]) == 1500
    assert some["count"] == some["outcomes"][1]
    assert {one["outcome"] for one in some["rows"]} == {1}
    both = rows(view, outcome="wrong,correct", model="large")
    assert both["count"] == both["outcomes"][0] + both["outcomes"][1]
    words = "janet tom"
    expected = sum(
        words in (line["origin_prompt"] + line["prediction"]).lower()
        for model in ("small", "large")
        for line in read_lines(work, model)
    )
    found = rows(view, q=words.title())
    assert found["count"] == expected > 0
    assert rows(view, q="no such words anywhere")["count"] == 0


def test_one_sample_has_every_models_answer_whole(view, work):
    status, told = view.told(f"runs/{LARGE}/sample?task=gsm8k&id=77")
    assert status == 200
    head = told["head"]
    assert [model["model"] for model in head["models"]] == ["small", "large"]
    for number, model in enumerate(head["models"]):
        output = told["blocks"][model["first"]][0]
        (line,) = [line for line in read_lines(work, ("small", "large")[number]) if line["id"] == "77"]
        assert "".join(piece[1] for piece in output[1]) == line["prediction"]
        assert output[2][0][0] == "numeric-match"
    assert view.told(f"runs/{LARGE}/sample?task=gsm8k&id=nothing") == (200, None)


def test_a_browser_gets_few_rows_and_shows_each_in_its_place(opened, view):
    page = opened()
    page.go(f"{view.url}samples.html#run={LARGE}", "document.documentElement?.dataset.state === 'drawn'")
    assert page.run("document.getElementById('samples-count').innerText") == "3,000 answers"
    assert page.run("document.querySelector('.rows-inner').offsetHeight") == 3000 * 32
    page.run("document.querySelector('.rows').scrollTop = 2500 * 32")
    page.until("[...document.querySelectorAll('.c-id')].some((cell) => cell.innerText === '1250')")
    pages = [url for url in page.asked_for if "/samples?" in url]
    assert len(pages) <= 4
    assert page.run("document.querySelectorAll('.rows .row').length") < 80
    page.run("document.querySelector('[data-outcome=wrong]').click()")
    page.until("/ of 3,000/.test(document.getElementById('samples-count').innerText)")
    assert "outcome=wrong" in page.run("location.hash")
    page.run("document.querySelector('.rows .row').click()")
    page.until("document.getElementById('reader').open")
    shown = page.run("document.getElementById('reader').innerText")
    assert "✗ wrong" in shown
    assert "Begins as other prompts do" in shown
    first = page.run("document.getElementById('reader').dataset.shown")
    page.run("document.querySelector('[aria-label=\"Next sample\"]').click()")
    page.until(
        f"document.getElementById('reader').dataset.shown !== '{first}' || /2 of/.test(document.getElementById('reader').innerText)"
    )


PAGES = (
    ("", "document.querySelectorAll('#runs tbody tr').length === 2"),
    (f"#run/{SMALL}", "document.querySelector('#scores')"),
    (f"samples.html#run={SMALL}", "document.documentElement?.dataset.state === 'drawn'"),
)
"""Each page with a condition that holds once it is drawn."""


def test_hostile_texts_are_text_on_every_page(opened, view):
    page = opened()
    for place, until in PAGES:
        page.go("about:blank", "true")
        page.go(view.url + place, until)
        assert HOSTILE[:40] in page.run("document.body.innerText"), place
        assert "taken over" not in page.run("document.title")
        assert (
            page.run("document.querySelectorAll('main img, main script, a[href^=\"javascript\"]').length")
            == 0
        )
    page.go(view.url, "document.querySelectorAll('#runs tbody tr').length === 2")
    shown = "['.tag', '#runs td', '.note'].map((one) => getComputedStyle(document.querySelector(one)).unicodeBidi)"
    assert set(page.run(shown)) == {"isolate"}
    page.go(f"{view.url}samples.html#run={SMALL}", "document.documentElement?.dataset.state === 'drawn'")
    for number in (0, 1):
        page.run(f"document.querySelectorAll('.rows .row')[{number}].click()")
        page.until("document.getElementById('reader').open")
        shown = page.run("document.getElementById('reader').textContent")
        assert shown.count(HOSTILE) >= 3
        assert page.run("document.querySelectorAll('#reader img, #reader script, #reader a').length") == 0
        page.run("document.getElementById('reader').close()")
    assert "taken over" not in page.run("document.title")


@pytest.mark.parametrize("width", [375, 768, 1280])
def test_the_pages_of_hostile_texts_are_not_wider_than_the_screen(opened, view, width):
    page = opened(width, 800)
    for place, until in PAGES:
        page.go("about:blank", "true")
        page.go(view.url + place, until)
        assert page.run("document.documentElement.scrollWidth") <= width, place


def test_damaged_predictions_are_named_with_what_to_do(tmp_path, work):
    run = tmp_path / SMALL
    shutil.copytree(work / SMALL, run)
    (run / "predictions/other/failing.jsonl").write_text('{"id": 1\n')
    started = View(tmp_path, str(tmp_path))
    try:
        status, told = started.told(f"runs/{SMALL}/samples")
    finally:
        assert started.stop() == 0
    assert status == 400
    assert told["error"].startswith(f"the predictions of other on failing in {run} cannot be read: ")
    assert told["error"].endswith(f"write them again from the log: aisb score {SMALL} -w {tmp_path}")


def test_a_number_that_is_none_is_taken_as_the_first_page(view):
    assert rows(view, offset="-1")["offset"] == 0
    assert rows(view, offset="x", limit="y")["offset"] == 0
    assert len(rows(view, limit="100000")["rows"]) == 500
