"""The pages in a headless Chromium: what is drawn, that views are linked, that nothing is asked of any host.

Whatever a page complains about, and each request for anything but a file, fails the test when its browser closes.
"""

import pytest
from plots_replies import failed, made_run, never_sent, reply

from aisb_reporter_plots import Plots

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">'"`${1}%{y}<b>bold</b><a href="http://example.com">"""
TIMED = ("requests", "over-time", "flight", "tokens")


@pytest.fixture
def pages(make):
    def made(replies, **more):
        return Plots().report(make(replies, **more))

    return made


@pytest.fixture(scope="module")
def drawn(chromium, tmp_path_factory):
    """One page of a hundred requests, drawn once for the tests that only move in it."""
    run = made_run(tmp_path_factory.mktemp("hundred"), [reply(n, 10 * n) for n in range(1, 100)])
    page = chromium.page(1280, 1800)
    page.open(Plots().report(run)[0])
    return page


@pytest.fixture(scope="module")
def forty(chromium, tmp_path_factory):
    """A page of 39 replies and a failure, for the tests that only read it."""
    replies = [*(reply(n, 10 * n) for n in range(1, 40)), failed("x", 500, "HTTP 503: busy")]
    page = chromium.page()
    page.open(Plots().report(made_run(tmp_path_factory.mktemp("forty"), replies))[0])
    yield page
    page.close()
    assert page.complaints == []


@pytest.fixture
def hundred(drawn):
    """That page, with the whole run in view."""
    drawn.mouse("mouseMoved", 0, 0)
    drawn.run("document.getElementById('whole').click()")
    drawn.until("document.getElementById('whole').disabled")
    yield drawn
    assert drawn.complaints == []


def settled(page):
    page.run("new Promise((done) => setTimeout(done, 400))")


def ranges(page, charts=TIMED):
    return [
        page.run(f"document.getElementById('{chart}').layout.xaxis.range.map(Number)") for chart in charts
    ]


def traces(page, chart):
    return dict(page.run(f"document.getElementById('{chart}').data.map((t) => [t.name, t.x.length])"))


def text(page, selector):
    return page.run(f"document.querySelector({selector!r}).textContent")


def plot_area(page, chart):
    return page.box(f"#{chart} .nsewdrag")


def test_every_request_is_drawn_in_two_parts_and_failures_are_marked(forty):
    page = forty
    assert traces(page, "requests") == {
        "until the first token": 39,
        "from there to the last": 39,
        "without a first token": 1,
        "failed": 1,
    }
    assert page.run("document.querySelectorAll('#requests .bars path').length") == 79
    assert "40 in view, all drawn" in text(page, "#requests-note")
    assert text(page, "#failures tbody") == "1status: HTTP 503: busy"
    assert set(traces(page, "latencies")) >= {"TTFT", "TPOT", "E2EL", "E2EL from planned"}


def test_latency_over_time_has_each_request_or_percentiles_of_parts(forty, pages, browser):
    assert traces(forty, "over-time") == {"TTFT": 39, "E2EL": 39}
    sent, e2el = forty.run(
        "(t => [Array.from(t.x), Array.from(t.y)])(document.getElementById('over-time').data[1])"
    )
    assert sent == sorted(sent)
    page = browser()
    page.open(pages([reply(n, n) for n in range(1, 4001)])[0])
    assert set(traces(page, "over-time")) == {"TTFT p50", "TTFT p95", "E2EL p50", "E2EL p95"}
    assert "median and 95th percentile" in text(page, "#over-time-note")
    # All replies take equally long, and so do the percentiles of every part.
    values = page.run(
        "[...new Set(document.getElementById('over-time').data[2].y.filter((y) => y !== null).map(Math.round))]"
    )
    assert values == [round(e2el[0])]


def test_the_number_in_flight_is_that_of_the_events(pages, browser):
    page = browser()
    # Each takes 111 ms; the second and third begin 50 and 100 ms after the first.
    page.open(pages([reply(n, 1 + 50 * n, planned=None) for n in range(3)])[0])
    flight = page.run(
        "(({x, y}) => x.map((t, n) => [Math.round(t * 1000), y[n]]))(document.getElementById('flight').data[0])"
    )
    assert flight == [[0, 1], [50, 2], [100, 3], [111, 2], [161, 1], [211, 0], [211, 0]]


def test_tokens_over_time_add_up_to_those_of_the_replies(pages, browser):
    page = browser()
    page.open(pages([reply(n, 1 + 7 * n, tokens=5) for n in range(30)])[0])
    total = page.run(
        "(({x, y}) => y.reduce((sum, rate) => sum + rate, 0) * (x[1] - x[0]))(document.getElementById('tokens').data[0])"
    )
    assert total == pytest.approx(150, rel=0.02)


def test_dragging_in_one_chart_zooms_all_and_buttons_lead_on_and_back(hundred):
    page = hundred
    whole = ranges(page)
    left, top, width, height = plot_area(page, "flight")
    page.drag((left + width * 0.25, top + height / 2), (left + width * 0.5, top + height / 2))
    settled(page)
    zoomed = ranges(page)
    assert zoomed[0] == zoomed[1] == zoomed[2]
    span = whole[0][1]
    assert zoomed[0] == pytest.approx([span / 4, span / 2], rel=0.05)
    assert "99 in view" not in text(page, "#requests-note")
    page.run("document.getElementById('later').click()")
    settled(page)
    assert ranges(page)[0] == pytest.approx([span * 3 / 8, span * 5 / 8], rel=0.05)
    page.run("document.getElementById('whole').click()")
    settled(page)
    assert ranges(page) == whole


@pytest.mark.parametrize("chart", TIMED)
def test_a_double_click_in_any_chart_shows_the_whole_run_in_all(hundred, chart):
    page = hundred
    whole = ranges(page)
    page.run("document.getElementById('closer').click()")
    settled(page)
    assert ranges(page) != whole
    left, top, width, height = plot_area(page, chart)
    page.double_click(left + width / 2, top + height / 2)
    page.until("document.getElementById('whole').disabled")
    settled(page)
    assert ranges(page) == whole


def test_pointing_at_one_chart_tells_the_moment_in_the_others(hundred):
    page = hundred
    left, top, width, height = plot_area(page, "flight")
    page.mouse("mouseMoved", left + width / 3, top + height / 2)
    page.mouse("mouseMoved", left + width / 2, top + height / 2)
    for chart in ("flight", "tokens"):
        page.until(f"document.querySelector('#{chart} .hoverlayer').textContent.length > 0")
    left, top, width, height = plot_area(page, "requests")
    page.mouse("mouseMoved", left + width / 2 - 2, top + height / 2)
    page.mouse("mouseMoved", left + width / 2, top + height / 2)
    page.until("document.querySelector('#requests .hoverlayer').textContent.includes('TTFT 40 ms')")


def test_hostile_names_and_messages_are_shown_as_text(pages, browser):
    page = browser(height=1800)
    replies = [reply(HOSTILE + "1", 5), failed(HOSTILE, 60, HOSTILE)]
    files = pages(replies, load={"requested": {}, "notes": [HOSTILE]})
    page.open(files[0])
    assert text(page, "#failures td:last-child") == f"status: {HOSTILE}"
    assert HOSTILE in text(page, "#notes")
    assert page.run("document.querySelectorAll('main img, main script, #notes *:not(li)').length") == 0
    left, top, width, height = plot_area(page, "requests")
    for down in (0.7, 0.75):
        page.mouse("mouseMoved", left + width * 0.6, top + height * down)
    page.until("document.querySelector('#requests .hoverlayer').textContent.includes('failed')")
    shown = text(page, "#requests .hoverlayer")
    assert "</script><script>alert(1)" in shown
    assert "<b>bold</b>" in shown
    assert page.run("document.querySelectorAll('.hoverlayer a, .hoverlayer img').length") == 0


def test_the_rates_page_has_what_was_asked_planned_and_sent(pages, browser):
    page = browser()
    load = {"requested": {"request_rate": 100, "arrival": "constant"}, "planned": 200}
    page.open(pages([reply(n, 1 + 10 * n) for n in range(200)], load=load)[1])
    assert set(traces(page, "rate")) == {"sent", "planned", "requested"}
    assert page.run("Math.max(...document.getElementById('late').data[0].y)") == pytest.approx(1.0)
    sent = page.run("(({x, y}) => [x, y])(document.getElementById('intervals').data[0])")
    assert max(sent[1]) == pytest.approx(100)
    left, top, width, height = plot_area(page, "rate")
    page.drag((left + width * 0.2, top + height / 2), (left + width * 0.6, top + height / 2))
    settled(page)
    rate, late = ranges(page, ("rate", "late"))
    assert rate == late
    assert rate[0] > 0


def test_a_closed_loop_says_that_no_rate_was_asked(pages, browser):
    page = browser()
    replies = [reply(n, 1 + 10 * n, planned=None) for n in range(20)]
    page.open(pages(replies)[1])
    assert set(traces(page, "rate")) == {"sent"}
    assert "No rate was requested" in text(page, "#rate-note")
    assert page.run("document.getElementById('late')") is None


def test_a_run_in_which_nothing_was_sent_is_still_drawn(pages, browser):
    for file in pages([never_sent(n, 10 * n) for n in range(1, 4)]):
        page = browser()
        page.open(file)
    assert page.run("document.getElementById('rate').data.length") >= 1


def test_many_requests_are_drawn_in_part_and_the_page_says_which(pages, browser):
    page = browser()
    page.open(pages([reply(n, 1 + n, tokens=2) for n in range(6000)])[0])
    assert traces(page, "requests")["until the first token"] <= 2050
    assert "6,000 in view; drawn are 2,000 of them, evenly spread, and the slowest" in text(
        page, "#requests-note"
    )
    assert "Bins of" in text(page, "#flight-note")
    page.run("for (let n = 0; n < 4; n++) document.getElementById('closer').click()")
    page.until("document.getElementById('requests-note').textContent.includes('all drawn')")
    page.until("document.getElementById('flight-note').textContent.includes('Every start and end')")


def test_nothing_in_a_page_leads_to_the_cloud_of_the_library(hundred):
    titles = hundred.run("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert len(set(titles)) == 3
    assert not [title for title in titles if "hare" in title or "loud" in title]


def test_a_chart_can_be_kept_as_a_picture(hundred):
    assert hundred.run("Plotly.toImage('flight')").startswith("data:image/png;base64,")


def test_the_page_follows_a_dark_system_and_fits_a_phone(pages, browser):
    page = browser(width=390, height=844, theme="dark")
    page.open(pages([reply(n, 10 * n) for n in range(1, 60)])[0])
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    assert page.run("document.getElementById('flight').layout.font.color") == "#e4e9f0"
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.system("light")
    page.until("document.getElementById('flight').layout.font.color === '#1d2430'")
