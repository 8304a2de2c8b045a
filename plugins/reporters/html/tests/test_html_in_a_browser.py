"""The page in a headless Chromium: what it shows, that it is moved through with keys, that nothing is asked of any host.

Whatever a page complains about, and each request for anything but a file, fails the test when its browser closes.
"""

import json

import pytest
from made_runs import Made, answer, gsm8k_like, simple, verdict

from aisb import Failure, Prediction, Sample, Timing
from aisb_engine import open_finished_run
from aisb_engine._record.log import LogWriter
from aisb_reporter_html import Html

HOSTILE = (
    '</script><script>alert(1)</script><!-- \u2028 \u2029 "}]} \'<img src=x onerror="alert(2)">'
    '<b>bold</b> <a href="http://example.com">a</a> ${1} {{plotly}} 😀'
)


@pytest.fixture
def page(browser):
    """Open the page of a run."""

    def opened(run, width=1280, height=900, **options):
        (file,) = Html(**options).report(run)
        made = browser(width, height)
        made.open(file)
        return made

    return opened


def text(page, selector):
    return page.run(f"document.querySelector({json.dumps(selector)}).textContent")


def texts(page, selector):
    return page.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)")


def press(page, key, code=0):
    page.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code)
    page.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)


def rows(page, cell="id"):
    """The rows in view, from the top: the text of one of their cells."""
    return page.run(
        "[...document.querySelectorAll('.rows .row:not([hidden])')].sort((a, b) => a.place - b.place)"
        f".map((row) => row.cells.{cell}.textContent)"
    )


def search(page, words):
    box = "document.querySelector('.search')"
    page.run(f"{box}.value = {json.dumps(words)}; {box}.dispatchEvent(new Event('input'))")
    page.run("new Promise((done) => setTimeout(done, 400))")
    page.until("!document.getElementById('samples-count').textContent.startsWith('Searching')")
    return text(page, "#samples-count")


def test_the_top_says_what_was_run_and_how_it_came_out(tmp_path, page):
    shown = page(simple(tmp_path, ["18", "18", "17", ""]))
    assert text(shown, "h1") == "small on gsm8k"
    assert text(shown, "#lead") == "4 answers: 2 right, 1 wrong, 1 neither."
    facts = dict(
        shown.run(
            "[...document.querySelectorAll('#facts div')].map((d) => [...d.children].map((e) => e.textContent))"
        )
    )
    assert facts["started"] == "2026-11-21 22:03 UTC"
    assert facts["took"] == "6 min 30 s"
    assert (facts["seeds"], facts["task version"], facts["data"]) == ("7", "9dc0b5", "abababababab")
    assert "aisb run --models 'a b'" in text(shown, "#identity")
    cells = texts(shown, "#scores tbody tr > *")
    assert cells[0:4] == ["gsm8k", "accuracy", "50.00", "15.0 – 85.0"]
    assert cells[5] == "50.0 – 66.7"
    assert (
        shown.run("document.querySelector('.stack').getAttribute('aria-label')")
        == "correct 2, wrong 1, unparsed 1"
    )
    assert [part["class"] for part in bars(shown)] == ["correct", "wrong", "unparsed"]
    assert [part["share"] for part in bars(shown)] == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def bars(page):
    return page.run(
        "(all => all.map((i) => ({class: i.className, share: i.offsetWidth / i.parentNode.offsetWidth})))"
        "([...document.querySelectorAll('.stack i')])"
    )


def test_models_and_tasks_make_a_matrix_whose_columns_sort(tmp_path, page):
    made = Made(tmp_path)
    for task, texts_ in (("easy", ["18", "18"]), ("hard", ["17", "18"])):
        samples = [(Sample(str(n), {}, "18"), "?") for n in range(2)]
        for model in ("small", "large"):
            said = texts_ if model == "large" else ["17", texts_[0]]
            made.add(model, task, samples, [answer(t) for t in said], [verdict(t, "18") for t in said])
    shown = page(made.done())
    column = "#matrix tbody tr > :first-child"
    assert texts(shown, column) == ["easy", "hard"]
    shown.run("document.querySelectorAll('#matrix th button')[1].click()")
    assert texts(shown, "#matrix tbody td:nth-child(2)") == ["50.00", "0.00"]
    shown.run("document.querySelectorAll('#matrix th button')[1].click()")
    assert texts(shown, column) == ["hard", "easy"]
    assert shown.run("document.querySelectorAll('#matrix th')[1].getAttribute('aria-sort')") == "ascending"


def test_groups_sort_have_both_averages_and_lead_to_their_samples(tmp_path, page):
    made = Made(tmp_path)
    samples = [
        (Sample(f"{group}/{n}", {}, "B", (), group), "?")
        for group, count in (("anatomy", 3), ("law", 1))
        for n in range(count)
    ]
    said = ["B", "A", "A", "B"]
    made.add("small", "mmlu", samples, [answer(t) for t in said], [verdict(t, "B") for t in said])
    shown = page(made.done())
    assert texts(shown, "#groups tbody th") == ["anatomy", "law"]
    shown.run("document.querySelectorAll('#groups th button')[2].click()")
    assert texts(shown, "#groups tbody th") == ["law", "anatomy"]
    assert texts(shown, "#groups tfoot tr > :first-child") == ["naive average", "weighted average"]
    assert texts(shown, "#groups tfoot b") == ["66.67", "50.00"]
    shown.run("document.querySelector('#groups tbody .link').click()")
    assert rows(shown) == ["law/0"]
    assert text(shown, "#samples-count") == "1 of 4 answers"


def test_areas_have_their_own_averages(tmp_path, page):
    made = Made(tmp_path)
    samples = [(Sample(f"{group}/0", {}, "B", (), group), "?") for group in ("law", "physics")]
    made.add("small", "mmlu", samples, [answer("B"), answer("A")], [verdict("B", "B"), verdict("A", "B")])
    file = made.folder.results("small", "mmlu")
    table = json.loads(file.read_text())
    for name, value in (("naive_average", 100.0), ("weighted_average", 100.0)):
        metric = {
            "name": name,
            "value": value,
            "low": 20.0,
            "high": 100.0,
            "unit": "%",
            "count": 1,
            "group": "humanities",
        }
        table["metrics"].append(metric | {"better": "higher"})
    file.write_text(json.dumps(table))
    shown = page(made.done())
    assert texts(shown, "#groups .tall tbody th") == ["law", "physics"]
    assert texts(shown, "#groups h3 + .scroll tbody tr > *") == ["humanities", "1", "100.00", "100.00"]


def test_repeats_are_drawn_as_curves_and_told_as_a_table(tmp_path, page):
    made = Made(tmp_path)
    samples = [(Sample(str(n), {}, "18"), "?") for n in range(2)]
    said = ["18", "17", "17", "16", "18", "18", "18", "18"]
    made.add(
        "small", "gsm8k", samples, [answer(t) for t in said], [verdict(t, "18") for t in said], repeats=4
    )
    shown = page(made.done())
    assert shown.run("document.querySelectorAll('#repeats path.curve').length") == 2
    assert shown.run("document.querySelectorAll('#repeats circle').length") == 8
    assert texts(shown, "#repeats tbody tr:last-child td") == ["gsm8k", "small", "4", "100.00", "50.00"]


def test_lengths_are_drawn_by_outcome(tmp_path, page):
    shown = page(simple(tmp_path, ["18", "17", "18", "x 18"]))
    assert shown.run(
        "[...new Set([...document.querySelectorAll('#lengths rect')].map((r) => r.getAttribute('class')))]"
    ) == ["correct", "wrong"]
    assert texts(shown, "#lengths tbody tr td")[:3] == ["correct", "3", "40"]


def test_a_sample_opens_with_prompt_reasoning_mark_and_verdict(tmp_path, page):
    made = Made(tmp_path)
    output = "<think>😀 first, 6 times 3</think>So 😀 the answer is 18."
    start = output.index("18")
    graded = {
        "value": 1.0,
        "outcome": "correct",
        "answer": "18",
        "rule": "answer-words",
        "span": (start, start + 2),
    }
    sample = Sample("17", {}, "18")
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    made.add("small", "gsm8k", [(sample, prompt)], [answer(output)], [graded])
    shown = page(made.done())
    shown.run("document.querySelector('.rows .row').click()")
    shown.until("document.getElementById('reader').open")
    assert text(shown, "#reader mark") == "18"
    assert text(shown, "#reader .output > pre") == "So 😀 the answer is 18."
    assert shown.run("document.querySelector('#reader .reasoning').open") is False
    assert text(shown, "#reader .reasoning pre") == "<think>😀 first, 6 times 3</think>"
    assert texts(shown, "#reader .turn") == ["systemBe brief.", "userHow many?"]
    assert text(shown, "#reader .gold") == "18"
    assert texts(shown, "#reader .verdict dd") == ["18", "18", "answer-words", "correct, 1 by numeric-match"]


def test_two_models_answers_stand_side_by_side(tmp_path, page):
    made = Made(tmp_path)
    samples = [(Sample("0", {}, "18"), "?")]
    made.add("small", "gsm8k", samples, [answer("I say 17")], [verdict("I say 17", "18")])
    made.add("large", "gsm8k", samples, [answer("I say 18")], [verdict("I say 18", "18")])
    shown = page(made.done())
    shown.run("document.querySelector('.rows .row').click()")
    shown.until("document.getElementById('reader').open")
    choose = "(s => { s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })(document.querySelector('#reader select'))"
    shown.run(choose)
    shown.until("document.querySelectorAll('#reader .pane').length === 2")
    assert texts(shown, "#reader .pane mark") == ["17", "18"]
    left, right = shown.run(
        "[...document.querySelectorAll('#reader .pane')].map((p) => p.getBoundingClientRect().left)"
    )
    assert left + 100 < right
    tops = shown.run(
        "[...document.querySelectorAll('#reader .pane')].map((p) => p.getBoundingClientRect().top)"
    )
    assert tops[0] == tops[1]


def test_filters_and_search_find_what_they_say(tmp_path, page):
    shown = page(gsm8k_like(tmp_path, 600))
    assert text(shown, "#samples-count") == "600 answers"
    wrong = shown.run("Number(document.querySelector('[data-outcome=wrong] .quiet').textContent)")
    shown.run("document.querySelector('[data-outcome=wrong]').click()")
    assert text(shown, "#samples-count") == f"{wrong} of 600 answers"
    assert set(rows(shown, "mark")) == {"✗"}
    shown.run("document.querySelector('[data-outcome=wrong]').click()")
    assert search(shown, "Example 8: a farmer") == "0 of 600 answers"  # examples are not the sample's own
    assert search(shown, "no such words") == "0 of 600 answers"
    assert search(shown, "THE ANSWER IS") == "600 answers"
    assert search(shown, "") == "600 answers"


def test_search_finds_the_one_output_that_says_it(tmp_path, page):
    said = [f"this is reply {n} 18" for n in range(400)]
    said[333] = "here hides a [needle] (in) .* it 17"
    shown = page(simple(tmp_path, said))
    assert search(shown, "[NEEDLE] (in) .*") == "1 of 400 answers"
    assert rows(shown) == ["333"]


def test_models_that_disagree_can_be_picked_out(tmp_path, page):
    made = Made(tmp_path)
    samples = [(Sample(str(n), {}, "18"), "?") for n in range(3)]
    for model, said in (("small", ["18", "17", "17"]), ("large", ["18", "18", "16"])):
        made.add(model, "gsm8k", samples, [answer(t) for t in said], [verdict(t, "18") for t in said])
    shown = page(made.done())
    shown.run("document.querySelector('#samples input[type=checkbox]').click()")
    assert rows(shown) == ["1", "1"]
    assert rows(shown, "model") == ["small", "large"]


def test_everything_is_reached_with_keys(tmp_path, page):
    shown = page(simple(tmp_path, [f"{n}" for n in range(100)]))
    shown.run("document.querySelector('.rows').focus()")
    press(shown, "ArrowDown", 40)
    press(shown, "ArrowDown", 40)
    assert text(shown, ".row.current .c-id") == "2"
    press(shown, "End", 35)
    assert text(shown, ".row.current .c-id") == "99"
    active = "document.getElementById(document.querySelector('.rows').getAttribute('aria-activedescendant')).getAttribute('aria-rowindex')"
    assert shown.run(active) == "100"
    press(shown, "Home", 36)
    press(shown, "Enter", 13)
    shown.until(
        "document.getElementById('reader').open && document.getElementById('reader').dataset.shown === '0'"
    )
    press(shown, "ArrowRight", 39)
    shown.until("document.getElementById('reader').dataset.shown === '1'")
    press(shown, "Escape", 27)
    shown.until("!document.getElementById('reader').open")
    assert shown.run("document.activeElement.className") == "rows"
    assert text(shown, ".row.current .c-id") == "1"


def test_only_rows_in_view_are_in_the_page_and_each_place_shows_its_own(tmp_path, page):
    shown = page(gsm8k_like(tmp_path, 1000, models=("one",)))
    assert shown.run("document.querySelector('.rows-inner').offsetHeight") == 1000 * 32
    for place in (0, 567, 999, 17):
        shown.run(f"document.querySelector('.rows').scrollTop = {place} * 32")
        shown.until(
            f"[...document.querySelectorAll('.rows .row:not([hidden])')].some((row) => row.cells.id.textContent === '{place}')"
        )
        assert shown.run("document.querySelectorAll('.rows .row').length") < 60
        at = shown.run(
            "(row => row.getBoundingClientRect().top - document.querySelector('.rows-inner').getBoundingClientRect().top)"
            f"([...document.querySelectorAll('.rows .row:not([hidden])')].find((row) => row.cells.id.textContent === '{place}'))"
        )
        assert round(at) == place * 32


def test_hostile_texts_are_shown_as_text_everywhere(tmp_path, page):
    made = Made(tmp_path)
    model = HOSTILE.replace("/", "")
    sample = Sample(HOSTILE, {}, HOSTILE, (), HOSTILE)
    graded = {
        "value": 0.0,
        "outcome": "wrong",
        "answer": HOSTILE,
        "rule": HOSTILE,
        "span": (3, len(HOSTILE) - 2),
        "details": {HOSTILE: HOSTILE},
    }
    failed = {"failure": Failure("status", HOSTILE), "text": HOSTILE}
    tool = {"tool_calls": ({"name": HOSTILE, "arguments": HOSTILE},), "reasoning": HOSTILE}
    for name in ("plain", model):
        made.add(
            name,
            "task{{data}}",
            [(sample, [{"role": HOSTILE, "content": HOSTILE}])],
            [answer(HOSTILE, **tool)],
            [graded],
        )
    made.add("other", "failing", [(sample, HOSTILE)], [answer(**failed)], [graded])
    shown = page(made.done())
    assert search(shown, "</script><script>") == "3 answers"
    shown.run("document.querySelector('.rows .row').click()")
    shown.until("document.getElementById('reader').open")
    shown.run(
        "(s => { s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })(document.querySelector('#reader select'))"
    )
    shown.until("document.querySelectorAll('#reader .pane').length === 2")
    assert text(shown, "#reader .output > pre") == HOSTILE
    assert text(shown, "#reader mark") == HOSTILE[3:-2]
    assert text(shown, "#reader .turn") == HOSTILE + HOSTILE
    found = shown.run(
        "document.querySelectorAll('main img, main script, dialog img, dialog script, dialog b, dialog a').length"
    )
    assert found == 0
    assert shown.run("document.querySelectorAll('a[href^=http]').length") == 0


def test_light_and_dark_follow_the_system_and_the_button(tmp_path, page):
    shown = page(simple(tmp_path, ["18"]))
    background = "getComputedStyle(document.body).backgroundColor"
    assert shown.run(background) == "rgb(246, 247, 249)"
    shown.system("dark")
    shown.until(f"{background} === 'rgb(18, 22, 28)'")
    shown.run("document.getElementById('theme').click()")
    assert shown.run(background) == "rgb(246, 247, 249)"


def test_every_colour_of_text_is_far_enough_from_what_it_stands_on(tmp_path, page):
    """By the contrast ratio of WCAG 2, which wants 4.5 for text of this size."""
    shown = page(simple(tmp_path, ["18"]))

    def light(name):
        colour = shown.run(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    outcomes = ("correct", "wrong", "truncated", "unparsed", "refused", "error", "unscored")
    pairs = [(name, "panel") for name in (*outcomes, "text", "quiet")]
    pairs += [(name, "page") for name in ("text", "quiet", "accent")] + [("text", "soft"), ("text", "marked")]
    for scheme in ("light", "dark"):
        shown.system(scheme)
        shown.until(f"document.documentElement.dataset.theme === '{scheme}'")
        ratios = {pair: (max(map(light, pair)) + 0.05) / (min(map(light, pair)) + 0.05) for pair in pairs}
        assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}, scheme


def test_no_page_is_wider_than_its_window(tmp_path, page):
    made = Made(tmp_path)
    samples = [
        (Sample(f"a_long_group_name/{n}", {}, "18", (), "a_long_group_name"), "?" * 400) for n in range(3)
    ]
    for model in ("a-very-long-name-of-a-model-70b-instruct", "another-one"):
        made.add(
            model, "a_long_task_name", samples, [answer("w" * 500 + " 18")] * 3, [verdict("18", "18")] * 3
        )
    shown = page(made.done(), width=375, height=812)
    shown.run("document.querySelector('.rows .row').click()")
    shown.until("document.getElementById('reader').open")
    for width in (375, 1024, 1600):
        shown.resize(width, 812)
        shown.until(f"innerWidth === {width}")
        assert shown.run("document.documentElement.scrollWidth") <= width
        assert shown.run("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('.reader-body'))")
    shown.run("document.getElementById('reader').close()")
    for width in (1600, 1024, 375):
        shown.resize(width, 812)
        shown.until(f"innerWidth === {width}")
        assert shown.run("document.documentElement.scrollWidth") <= width
        right, tall = shown.run(
            "(r => [r.right, r.parent])((e => ({right: e.getBoundingClientRect().right, "
            "parent: e.closest('tr').offsetHeight}))(document.querySelector('#scores strong')))"
        )
        assert right <= width  # the score itself is in view, and names do not break letter by letter
        assert tall < 200


def test_paper_is_light_and_leaves_out_what_is_pressed(tmp_path, page):
    shown = page(simple(tmp_path, ["18"]))
    shown.system("dark", media="print")
    assert shown.run("getComputedStyle(document.getElementById('contents')).display") == "none"
    assert (
        shown.run("getComputedStyle(document.documentElement).getPropertyValue('--text').trim()") == "#1d2430"
    )
    assert shown.send("Page.printToPDF")["data"].startswith("JVBERi0")


# Performance runs


def load_run(work, concurrency=4, *, timestamp="20261121_220301", count=150, ttft=40, every=10, also=()):
    folder = work / timestamp
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / f"{timestamp}.toml").write_text(
        'subtasks = [{ model = "sim", task = "demo" }]\n[run]\nperformance = true\n[tasks.demo]\nname = "demo"\n'
    )
    log = folder / "log" / "sim" / "demo"
    with LogWriter(log / "worker-0") as writer:
        for n in range(count):
            slow = 400 if n == 77 else 0
            made = answer("x", at=1 + every * n)
            base = made["timing"].sent_ns
            first = base + (ttft + slow) * 1_000_000
            stamps = type(made["timing"].chunk_ns)("q", [first, first + 40_000_000])
            timing = Timing(
                sent_ns=base,
                headers_ns=base + 10,
                chunk_ns=stamps,
                chunk_kinds=("content",) * 2,
                done_ns=stamps[-1] + 10,
            )
            writer.append(Prediction(str(n), **(made | {"timing": timing})), final=True)
        for one in also:
            writer.append(one, final=True)
    (log / "load.json").write_text(
        json.dumps({"requested": {"concurrency": concurrency}, "planned": count + len(also)})
    )
    return open_finished_run(folder)


def failure(name, sent, message):
    timing = Timing(sent_ns=sent * 1_000_000, done_ns=(sent + 30) * 1_000_000)
    return Prediction(name, timing=timing, failure=Failure("status", message))


def test_a_performance_run_has_certificate_percentiles_plots_and_failures_on_one_page(tmp_path, page):
    shown = page(load_run(tmp_path, also=[failure("f1", 300, "HTTP 503: busy"), failure("f2", 900, HOSTILE)]))
    assert "SUSPECT demo · sim" in text(shown, ".certificate")
    assert "2 of 152 requests failed" in text(shown, ".certificate")
    heads = texts(shown, "#speed .columns > :first-child thead th")
    assert heads[-5:] == ["P75", "P90", "P95", "P99", "n"]
    first = texts(shown, "#speed tbody tr:first-child > *")
    assert (first[0], first[1]) == ("E2EL", "ms")
    for chart in ("requests", "over-time", "flight", "tokens", "latencies", "rate", "intervals"):
        assert shown.run(f"document.getElementById('{chart}').data.length") >= 1
    ranges = [
        shown.run(f"document.getElementById('{chart}').layout.xaxis.range.map(Number)")
        for chart in ("requests", "rate")
    ]
    shown.run("document.getElementById('closer').click()")
    shown.until(f"document.getElementById('rate').layout.xaxis.range[0] > {ranges[1][0]}")
    assert_slow_and_failed_requests_stand_in_time_with_their_reasons(shown)
    shown.resize(375, 812)
    shown.until("innerWidth === 375 && document.documentElement.scrollWidth <= 375")


def assert_slow_and_failed_requests_stand_in_time_with_their_reasons(shown):
    lines = shown.run(
        "[...document.querySelectorAll('.trouble tbody tr')].map((tr) => [...tr.children].map((td) => td.textContent))"
    )
    assert [line[1] for line in lines] == ["f1", "77", "f2"]
    assert [line[6] for line in lines] == [
        "status: HTTP 503: busy", "first token after 440 ms, 11.0 times the median", f"status: {HOSTILE}",
    ]  # fmt: skip
    assert shown.run("document.querySelectorAll('.trouble .cross').length") == 2
    assert shown.run("document.querySelectorAll('.trouble .slow-dot').length") == 1
    assert shown.run("document.querySelectorAll('main img, main b').length") == 0


@pytest.fixture(scope="module")
def page_of_several(tmp_path_factory):
    """The page of three loads. The third has less throughput and more latency than the second."""
    folder = tmp_path_factory.mktemp("several")
    loads = [(1, 40, 40), (8, 60, 10), (16, 90, 20)]
    runs = [
        load_run(folder, c, timestamp=f"20261121_22030{n}", ttft=ttft, every=every)
        for n, (c, ttft, every) in enumerate(loads)
    ]
    (file,) = Html(notes=["a <b>note</b>"]).report_several(runs, folder / "together")
    return file


@pytest.fixture
def several(page_of_several, browser):
    """Open the page of three loads."""
    made = browser()
    made.open(page_of_several)
    return made


def test_a_heading_replaces_the_models_and_tasks_of_several_runs(tmp_path, browser):
    (file,) = Html(heading="Capacity of <sim>").report_several([load_run(tmp_path, 1)], tmp_path / "one")
    shown = browser()
    shown.open(file)
    assert text(shown, "h1") == "Capacity of <sim>"


def test_runs_of_several_loads_make_points_and_a_front(several):
    shown = several
    assert text(shown, "h1") == "sim on demo"
    assert text(shown, "#lead") == "3 points, 450 requests, none failed."
    assert texts(shown, "#notes p") == ["a <b>note</b>"]
    marks = "[...document.querySelectorAll('#tradeoffs .dot')].map((c) => c.getAttribute('class'))"
    assert shown.run(marks) == ["dot VALID", "dot VALID", "dot INVALID off"]
    assert shown.run("document.querySelectorAll('#tradeoffs path.curve').length") == 2
    assert texts(shown, "#tradeoffs svg text:not(:has(title))")[-3:] == ["1", "8", "16"]
    shown.run(
        "(s => { s.value = 'TTFT'; s.dispatchEvent(new Event('change')); })(document.querySelector('#tradeoffs select'))"
    )
    shown.until("document.getElementById('tradeoffs').textContent.includes('TTFT p50, ms')")


def test_the_table_of_several_loads_has_the_numbers_of_the_charts(several):
    shown = several
    heads = texts(shown, "#table thead th")
    lines = shown.run(
        "[...document.querySelectorAll('#table tbody tr')].map((tr) => [...tr.children].map((td) => td.textContent))"
    )
    rows = [dict(zip(heads, line, strict=True)) for line in lines]
    assert [row["requests in flight (limit)"] for row in rows] == ["1", "8", "16"]
    assert [row["TTFT p50 ms"] for row in rows] == ["40", "60", "90"]
    assert [row["certificate"] for row in rows] == ["VALID", "VALID", "INVALID"]
    shown.run(
        "(s => { s.value = 'p95'; s.dispatchEvent(new Event('change')); })(document.querySelector('#table select'))"
    )
    assert "TTFT p95 ms" in texts(shown, "#table thead th")
    assert texts(shown, "#table details li") == ["16 requests could be in flight, but the peak was 8"]


def test_percentiles_and_throughput_of_several_loads_stand_over_the_load_and_fit_a_phone(several):
    ticks = texts(several, "#percentiles svg text")
    assert {"1", "8", "16", "requests in flight (limit)", "TTFT, ms"} <= {*ticks}
    assert {"1", "8", "16", "output tokens/s"} <= {*texts(several, "#rates svg text")}
    several.resize(375, 812)
    several.until("innerWidth === 375 && document.documentElement.scrollWidth <= 375")


def test_runs_of_one_load_are_one_point_with_bars_from_the_least_to_the_most(tmp_path, browser):
    loads = [(4, 40), (4, 44), (4, 60), (8, 60)]
    runs = [
        load_run(tmp_path, c, timestamp=f"20261121_22030{n}", ttft=ttft) for n, (c, ttft) in enumerate(loads)
    ]
    (file,) = Html().report_several(runs, tmp_path / "together")
    shown = browser()
    shown.open(file)
    assert text(shown, "#lead") == "2 points, 600 requests, none failed."
    assert "median of each number over its runs" in text(shown, "#notes")
    assert shown.run("document.querySelectorAll('#tradeoffs .dot').length") == 2
    assert shown.run("document.querySelectorAll('#tradeoffs .spread').length") == 2
    assert shown.run("document.querySelectorAll('#rates .spread').length") == 1
    heads = texts(shown, "#table thead th")
    cells = texts(shown, "#table tbody tr:first-child > *")
    row = dict(zip(heads, cells, strict=True))
    assert (row["runs"], row["TTFT p50 ms"]) == ("3", "4440 to 60")
    assert "40 to 60" in texts(shown, "#table tbody tr:first-child .range")


@pytest.mark.slow  # drawing seven charts takes seconds; a page that becomes as narrow is in the quick tests
def test_the_page_of_a_load_fits_a_phone(tmp_path, page):
    shown = page(load_run(tmp_path), width=375, height=812)
    assert shown.run("document.documentElement.scrollWidth") <= 375


def test_scores_of_partial_credit_are_read_as_they_are(tmp_path, page):
    made = Made(tmp_path)
    graded = {"value": 0.5, "outcome": "wrong", "answer": "18", "rule": "", "span": None}
    made.add("small", "rouge", [(Sample("0", {}, None), "?")], [answer("18")], [graded])
    shown = page(made.done())
    shown.run("document.querySelector('.rows .row').click()")
    shown.until("document.getElementById('reader').open")
    assert texts(shown, "#reader .verdict dd") == ["18", "–", "–", "wrong, 0.5 by numeric-match"]
    assert text(shown, "#reader .gold") == "not known"
