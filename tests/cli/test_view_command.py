"""`aisb view`: the server as it runs, asked by sockets and by a real browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from viewed import View, command

from aisb._errors import UsageError
from aisb_cli.main import cli

HOSTILE = '</script><script>document.title="taken over"</script><img src=x onerror="alert(1)">'


def aisb(*words, home):
    done = CliRunner().invoke(cli, [*words, "-w", str(home / "outputs/default")])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with two accuracy runs, one performance run, and a page in one of them."""
    home = tmp_path_factory.mktemp("home")
    sim = ["run", "--models", "sim", "--datasets", "demo_gsm8k"]
    assert command(*sim, cwd=home, stderr=subprocess.DEVNULL).wait(60) == 0
    aisb(*sim, "--set", "model.seed=1", home=home)
    aisb(*sim, "--mode", "perf", "--num-prompts", "8", "--set", 'run.reporters=["performance"]', home=home)
    first, _, _ = sorted((home / "outputs/default").iterdir())
    (first / f"summary/summary_{first.name}.html").write_text(
        "<!doctype html><title>report</title><body><script>"
        "let seen; try { seen = document.cookie + localStorage.length; } catch (e) { seen = 'kept apart'; }"
        "fetch(location.pathname.split('/files/')[0] + '/api/runs').then(() => 'read').catch(() => 'refused')"
        ".then((asked) => document.body.append(seen + ', ' + asked));</script>"
    )
    (first / f"summary/summary_{first.name}.md").write_text(HOSTILE)
    return home


@pytest.fixture(scope="module")
def view(home):
    started = View(home)
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def names(home):
    return sorted(run.name for run in (home / "outputs/default").iterdir())


def test_it_says_where_it_is_and_listens_on_this_machine_alone(view):
    assert view.said.startswith("the runs in outputs/default: http://127.0.0.1:")
    # /proc/net/tcp has the address in hex: 0100007F is 127.0.0.1.
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [line[1] for line in listening if line[3] == "0A" and line[1].endswith(f":{view.port:04X}")]
    assert ours == [f"0100007F:{view.port:04X}"]


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/api/runs", "/{token}x/", "//", "/{half}/"])
def test_without_the_right_token_everything_is_refused(view, path):
    status, _, body = view.get(path.format(token=view.token, half=view.token[:12]))
    assert status == 403
    assert body == "this page needs the whole address that `aisb view` printed, with the token in it\n"


def test_another_host_name_is_refused_and_localhost_is_not(view):
    assert view.get(f"/{view.token}/", host="evil.example")[0] == 400
    assert view.get(f"/{view.token}/", host=f"evil.example:{view.port}")[0] == 400
    assert view.get(f"/{view.token}/", host=f"localhost:{view.port}")[0] == 200


def test_nothing_can_be_written(view):
    assert view.get(f"/{view.token}/api/runs", method="POST")[0] == 405
    assert view.get(f"/{view.token}/api/runs", method="DELETE")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "../../../secret.txt", "..%2f..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/%2e%2e/secret.txt", "summary/../../../../secret.txt",
        "..%5c..%5csecret.txt", "link.txt", ".lock", "configs/../.lock", "%2fetc%2fpasswd", "no-such-file", "configs", "%00",
    ],
)  # fmt: skip
def test_no_file_outside_a_run_is_served(view, home, names, path):
    (home / "secret.txt").write_text("secret")
    link = home / "outputs/default" / names[0] / "link.txt"
    link.unlink(missing_ok=True)
    link.symlink_to(home / "secret.txt")
    status, _, body = view.get(f"/{view.token}/files/{names[0]}/{path}")
    assert status == 404
    assert body in ("there is no such file in this run\n", "Not Found")


@pytest.mark.parametrize("name", ["..", "%2e%2e", "nothing", "..%2f..", "latest"])
def test_a_run_is_named_and_never_a_path(view, name):
    assert view.get(f"/{view.token}/files/{name}/secret.txt")[0] == 404
    assert view.get(f"/{view.token}/api/runs/{name}")[0] in (400, 404)


def test_files_are_text_unless_they_are_pages_and_nothing_is_guessed(view, names):
    _, headers, body = view.get(f"/{view.token}/files/{names[0]}/summary/summary_{names[0]}.md")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert body == HOSTILE


def test_two_runs_are_compared_as_the_command_compares_them(view, home, names):
    status, told = view.told(f"compare?a={names[0]}&b={names[1]}")
    assert status == 200
    printed = json.loads(aisb("compare", names[0], names[1], "--json", home=home).stdout)["comparisons"]
    (mine,), (theirs,) = told["grades"], printed
    keys = ("task", "samples", "a", "b", "difference", "low", "high", "p", "p_corrected", "verdict")
    assert {key: mine[key] for key in keys} == {key: theirs[key] for key in keys}
    assert mine["improved"]["count"] == len(theirs["improved"])


def test_an_accuracy_run_and_a_performance_run_are_compared_by_grades_and_by_speeds(view, names):
    status, told = view.told(f"compare?a={names[0]}&b={names[2]}")
    assert status == 200
    assert [one["task"] for one in told["grades"]] == ["demo_gsm8k"]
    assert {one["task"] for one in told["speeds"]} == {"demo_gsm8k"}


def test_what_cannot_be_compared_is_said_in_the_words_of_the_error(view, names):
    status, told = view.told(f"compare?a={names[0]}&b={names[0]}")
    assert status == 400
    assert "name another run as B, or two of its models with --model-a and --model-b" in told["error"]


def test_a_folder_that_is_not_there_is_said_with_what_to_do():
    done = CliRunner().invoke(cli, ["view", "nowhere"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        "there is no folder nowhere: name the folder with your runs, or make a first run with\n"
        "  aisb run --models sim --datasets demo_gsm8k"
    )


def test_a_port_that_is_taken_is_said(view, home):
    done = CliRunner().invoke(cli, ["view", str(home), "--port", str(view.port)])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        f"port {view.port} of 127.0.0.1 cannot be used: Address already in use; omit --port for a free one"
    )


# ---- in a browser


@pytest.fixture
def opened(browser, view):
    """Open pages that may ask this server alone."""
    return partial(browser, asks=(view.url,))


@pytest.fixture
def page(opened, view):
    """A page with the list of runs."""
    page = opened()
    page.go(view.url, "document.querySelectorAll('#runs tbody tr').length === 3")
    return page


def text(page, selector="main"):
    return page.run(f"document.querySelector({json.dumps(selector)}).innerText")


def test_the_list_shows_every_run_and_filters(page, names):
    rows = page.run("[...document.querySelectorAll('#runs tbody tr')].map(r => r.innerText)")
    assert [row.split()[0] for row in rows] == names[::-1]
    assert "performance: demo_gsm8k" in rows[0]
    assert re.search(r"requested .+; achieved [\d.,]+ requests/s, [\d.]+ in flight", rows[0])
    assert re.search(r"(VALID|SUSPECT|INVALID) [\d.]+ requests/s, [\d.,]+ output tokens/s", rows[0])
    assert re.search(r"TTFT [\d.]+ / [\d.]+ / [\d.]+, TPOT .+, ITL .+, E2EL ", rows[0])
    assert re.search(r"\d+\.\d\d \[\d+\.\d, \d+\.\d\] n 64\s+correct \d+, wrong \d+", rows[1])
    assert text(page, "#count") == "3 runs"
    page.run(
        "document.querySelector('select').value = 'failed'; document.querySelector('select').dispatchEvent(new Event('change'))"
    )
    assert page.run("document.querySelectorAll('#runs tbody tr').length") == 0
    assert text(page, "#count") == "0 of 3 runs"


def test_the_states_are_those_of_runs_list_and_tags_are_shown_and_found(page, view, home, names):
    aisb("runs", "tag", names[1], "baseline", "--note", "before the new kernel", home=home)
    page.until("document.querySelector('.tag')")
    listed = json.loads(aisb("runs", "list", "--json", home=home).stdout)
    status, told = view.told("runs")
    assert status == 200
    keys = ("run", "status", "tags", "note", "scores")
    assert [{key: one[key] for key in keys} for one in told["runs"]] == [
        {key: one[key] for key in keys} for one in listed
    ]
    page.run(
        "(i => { i.value = 'baseline'; i.dispatchEvent(new Event('input')); })(document.querySelector('.bar input'))"
    )
    (row,) = page.run("[...document.querySelectorAll('#runs tbody tr')].map(r => r.innerText)")
    assert row.split()[0] == names[1]
    assert "before the new kernel" in row
    assert text(page, "#count") == "1 of 3 runs"


def test_one_run_is_counted_as_one(tmp_path, chromium):
    done = CliRunner().invoke(
        cli, ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2", "-w", str(tmp_path)]
    )
    assert done.exit_code == 0
    view = View(tmp_path, str(tmp_path))
    page = chromium.page()
    try:
        page.go(view.url, "document.querySelector('#runs tbody tr')")
        assert text(page, "#count") == "1 run"
    finally:
        page.close()
        assert view.stop() == 0


def test_a_performance_run_shows_its_numbers_and_its_plots(page, view, names):
    page.go(f"{view.url}#run/{names[2]}", "document.querySelector('.figure')")
    shown = text(page, ".figure")
    assert re.match(r"(VALID|SUSPECT|INVALID) demo_gsm8k · sim", shown)
    for name in ("TTFT", "TPOT", "ITL", "E2EL", "requests/s", "output tokens/s", "requested", "achieved"):
        assert name in shown
    # A frame below what is in view is not drawn by the browser, so bring it into view.
    page.until(
        "(f => f && (f.scrollIntoView(), parseFloat(f.style.height) > 500))(document.querySelector('iframe'))"
    )
    status, headers, body = view.get(f"/{view.token}/plots/{names[2]}/0/plots_plot.html")
    assert status == 200
    assert headers["content-security-policy"].startswith("sandbox ")
    assert 'id="plotly"' in body
    assert view.get(f"/{view.token}/plots/{names[2]}/0/plots_rps_distribution_plot.html")[0] == 200
    for wrong in (
        f"{names[2]}/1/plots_plot.html",
        f"{names[2]}/0/other.html",
        f"{names[0]}/7/plots_plot.html",
    ):
        status, _, body = view.get(f"/{view.token}/plots/{wrong}")
        assert (status, body) == (404, "there are no such plots\n")


def test_the_scores_of_a_run_lead_to_its_samples(page, view, names):
    page.go(f"{view.url}#run/{names[0]}", "document.querySelector('#scores')")
    assert text(page, "#scores thead").split() == [
        "task",
        "model",
        "score",
        "95",
        "%",
        "n",
        "correct",
        "wrong",
    ]
    wrong = text(page, "#scores td[data-name=wrong]")
    page.run("document.querySelector('#scores td[data-name=wrong] a').click()")
    page.until("document.documentElement?.dataset.state === 'drawn'")
    assert text(page, "#samples-count") == f"{wrong} of 64 answers"


def test_a_run_shows_its_result_its_page_and_its_logs(page, view, names):
    page.go(f"{view.url}#run/{names[0]}", "document.querySelector('#pages')")
    shown = text(page)
    assert "aisb run --models sim --datasets demo_gsm8k" in shown
    assert f"summary/summary_{names[0]}.html" in text(page, "#pages")
    assert "logs/infer/sim/demo_gsm8k.out" in shown
    page.go(f"{view.url}#run/{names[1]}", f"document.querySelector('h2').innerText === '{names[1]}'")
    assert f"aisb report --reporters html {names[1]}" in text(page, "#pages")


def test_two_runs_are_chosen_and_compared(page, names):
    page.run(f"document.querySelector('[aria-label=\"choose {names[0]}\"]').click()")
    page.run(f"document.querySelector('[aria-label=\"choose {names[1]}\"]').click()")
    page.run("document.querySelector('.bar button').click()")
    page.until("document.querySelector('#compared .tie, #compared .better, #compared .worse')")
    assert page.run("location.hash") == f"#compare/{names[0]}/{names[1]}"
    row = page.run("document.querySelector('#compared tbody tr').innerText").split()
    assert row[:3] == ["demo_gsm8k", "sim", "64"]
    assert "demo_gsm8k: " in text(page, "#compared details summary")


def test_a_page_of_a_run_opens_and_is_kept_apart(chromium, view, names):
    page = chromium.page()
    page.go(f"{view.url}files/{names[0]}/summary/summary_{names[0]}.html", "document.body?.innerText")
    assert page.run("document.body.innerText") == "kept apart, refused"
    page.close()


def test_a_run_is_followed_with_its_rates_until_it_ends(opened, view, home, names):
    slow = ["--set", "model.ttft_ms=200", "--concurrency", "1"]
    running = command(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", *slow, cwd=home, stderr=subprocess.DEVNULL
    )
    page = opened(390, 800)
    try:
        page.go("about:blank", "true")
        while len(list((home / "outputs/default").iterdir())) == len(names):
            time.sleep(0.02)
        page.go(view.url, "document.querySelectorAll('.running').length === 1")
        page.until("/ \\d+\\/64/.test(document.querySelector('tr:has(.running)').innerText)")
        page.run("document.querySelector('tr:has(.running) a').click()")
        page.until("/\\/s/.test(document.querySelector('#progress td.rate')?.innerText)")
        row = page.run("document.querySelector('#progress tbody tr').innerText")
        assert "demo_gsm8k · sim" in row
        assert re.search(r"\d+/64", row)
        # The score so far is that of the same answers graded at the end.
        page.until("document.querySelector('#progress .outcomes')")
        page.until(
            "/\\d\\/s/.test(document.querySelector('#progress td[data-name=\"output tokens\"]')?.innerText)"
        )
        so_far = text(page, '#progress td[data-name="so far"]')
        assert re.fullmatch(r"\d+\.\d\d \[\d+\.\d, \d+\.\d\] n \d+ *", so_far)
        running.send_signal(signal.SIGINT)
        page.until("document.querySelector('dd').innerText === 'stopped'")
    finally:
        running.kill()
        running.communicate(timeout=60)


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_screen(opened, view, names, width):
    page = opened(width, 800)
    for place in ("", f"#run/{names[0]}", f"#run/{names[2]}", f"#compare/{names[0]}/{names[1]}"):
        page.go("about:blank", "true")
        page.go(view.url + place, "document.querySelector('main table, main pre')")
        assert page.run("document.documentElement.scrollWidth") <= width, place
