"""What the page holds, how large it is, and that nothing of a run's can break out of it."""

import base64
import json
import re
import subprocess
import sys
import zlib

import pytest
from forked import run_forked
from made_runs import Made, answer, gsm8k_like, simple, verdict

from aisb import Sample
from aisb_engine import open_finished_run
from aisb_reporter_html import Html, aisb_reporters

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 \u2029 \"}]} '<img src=x onerror=alert(2)> {{plotly}} <!-- data -->"


def part(page, name):
    """Return what stands deflated in a page."""
    found = re.search(rf'id="{name}">([A-Za-z0-9+/=]*)</script>', page)
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def page_of(run, **options):
    (file,) = Html(**options).report(run)
    return file.read_text("utf-8")


def test_the_page_stands_beside_the_other_summaries(tmp_path):
    run = simple(tmp_path, ["so it is 18"])
    (file,) = Html().report(run)
    assert file == run.folder / "summary" / "summary_20261121_220301.html"


def test_a_page_asks_no_host_for_anything(tmp_path):
    page = page_of(simple(tmp_path, ["so it is 18"]))
    assert "default-src 'none'" in page
    # The name of SVG's language is no address that is asked.
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"""(?:src|href)=["']?//""", page)


def test_scores_and_verdicts_are_those_of_the_run(tmp_path):
    page = page_of(simple(tmp_path, ["it is 18", "or 17", ""], models=("small", "large")))
    head = part(page, "head")
    assert [one["outcomes"]["correct"] for one in head["summary"]["results"]] == [1, 1]
    (task,) = head["tasks"]
    assert [one["model"] for one in task["models"]] == ["small", "large"]
    assert task["models"][0]["outcome"] == [0, 1, 3]
    assert task["models"][0]["answer"] == ["18", "17", None]
    rows = part(page, "texts-0-1")
    assert rows[0][1] == [["visible", "it is 18", [], [6, 8]]]


def test_hostile_texts_stand_in_no_part_of_the_markup(tmp_path):
    made = Made(tmp_path)
    sample = Sample(HOSTILE, {}, HOSTILE, (), HOSTILE)
    # What names files cannot hold a slash.
    model = HOSTILE.replace("/", "")[:60]
    made.add(model, "t{{data}}", [(sample, HOSTILE)], [answer(HOSTILE)], [verdict(HOSTILE, HOSTILE)])
    page = page_of(made.done())
    plain = page_of(simple(tmp_path / "plain", ["18"]))
    assert page.count("</script>") - plain.count("</script>") == 0
    assert "<img" not in page
    assert "onerror=alert" not in page.replace(re.search("<title>.*</title>", page)[0], "")
    assert part(page, "texts-0-1")[0][1][0][1] == HOSTILE


@pytest.mark.slow
def test_ten_thousand_answers_take_less_than_six_megabytes(tmp_path):
    (file,) = Html().report(gsm8k_like(tmp_path, 10_000, models=("one",)))
    assert file.stat().st_size < 6_000_000


def test_texts_are_cut_until_the_page_is_small_enough_and_the_file_is_named(tmp_path):
    texts = [" ".join(str(n * k) for k in range(3000)) + " 18" for n in range(30)]
    run = simple(tmp_path, texts)
    whole, small = page_of(run), page_of(run, megabytes=0.13)
    assert len(small) < 140_000 < len(whole)
    assert part(whole, "head")["tasks"][0]["cut"] > part(small, "head")["tasks"][0]["cut"]
    (task,) = part(small, "head")["tasks"]
    _, ((kind, text, gaps, span),), _, facts = part(small, "texts-0-1")[3]
    assert (kind, text[span[0] : span[1]]) == ("visible", "18")
    assert len(text) + sum(count for _, count in gaps) == len(texts[3])
    assert (task["models"][0]["file"], facts["line"]) == ("predictions/small/gsm8k.jsonl", 4)


def test_examples_that_all_prompts_share_stand_in_the_page_once(tmp_path):
    page = page_of(gsm8k_like(tmp_path, 40))
    (task,) = part(page, "head")["tasks"]
    assert len(task["shared"]) == 1
    assert task["shared"][0][0].startswith("Question: Example 1")
    assert all(len(rest) < 500 for sample in part(page, "texts-0-0") for ((_, _, rest, _),) in sample[0])


def test_repeats_have_their_curves(tmp_path):
    made = Made(tmp_path)
    samples = [(Sample(str(n), {}, "18"), "?") for n in range(2)]
    texts = ["18", "17", "17", "16", "18", "18", "18", "18"]
    made.add(
        "small", "gsm8k", samples, [answer(t) for t in texts], [verdict(t, "18") for t in texts], repeats=4
    )
    ((curves,),) = [one["models"] for one in part(page_of(made.done()), "head")["curves"]]
    assert curves["k"] == [1, 2, 3, 4]
    # One of four right, and four of four: 1 − C(3,k)/C(4,k), and 1.
    assert curves["pass"] == pytest.approx([100 * (1 + s) / 2 for s in (1 / 4, 1 / 2, 3 / 4, 1)])
    assert curves["cons"] == pytest.approx([62.5, 50, 50, 50])


def test_a_run_without_verdicts_is_shown_without_them(tmp_path):
    run = simple(tmp_path, ["18"])
    for file in run.folder.glob("results/*/*"):
        file.unlink()
    head = part(page_of(open_finished_run(run.folder)), "head")
    assert head["tasks"][0]["models"][0]["outcome"] == [6]


def test_a_run_of_which_nothing_was_answered_is_a_page_too(tmp_path):
    assert part(page_of(Made(tmp_path).done()), "head")["tasks"] == []


def test_a_reporter_of_a_run_writes_it(tmp_path):
    command = [sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "demo_gsm8k"]
    more = ["--num-prompts", "4", "--set", 'run.reporters=["html"]']
    ended = run_forked([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (file,) = tmp_path.glob("outputs/default/*/summary/*.html")
    assert len(part(file.read_text(), "head")["tasks"][0]["ids"]) == 4


def test_declaring_itself_loads_nothing_heavy():
    heavy = "{'numpy', 'plotly', 'pydantic', 'httpx', 'orjson', 'aisb_reporter_plots'}"
    code = f"import sys, aisb_reporter_html; print({heavy} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "set()\n"
    assert aisb_reporters() == {"html": Html}
