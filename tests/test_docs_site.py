"""The documentation site: it builds without a warning, has a page for every command, and loads nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def reference():
    """What makes each reference page as Markdown, before mkdocs turns it into HTML."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


def test_every_command_has_its_place_with_its_options(reference):
    import click

    from aisb_cli.main import cli
    from aisb_cli.run_command import run

    page = reference["reference/commands"]()
    for name in cli.list_commands(click.Context(cli)):
        assert f"\n## aisb {name}\n" in page, name
    for option in run.params:
        if not option.opts[0].startswith("--help") and not option.hidden:
            assert max(option.opts, key=len) in page, option.opts


def test_every_component_and_model_has_its_place(reference):
    from aisb._plugins import Plugins
    from aisb_engine._resolve.catalog import Catalog

    plugins = Plugins.load()
    page = reference["reference/components"]()
    for component in plugins.components():
        assert f"{{ #{component.kind}-{component.name} }}\n" in page
    page = reference["reference/models"]()
    for entry in Catalog(plugins).entries("model"):
        assert f"\n| `{entry.name}` |" in page


def test_every_backend_has_its_row_of_abilities(reference):
    from aisb._plugins import Plugins

    page = reference["reference/backends"]()
    backends = [
        one for one in Plugins.load().components() if one.kind == "backend" and one.plugin != "builtin"
    ]
    assert len(backends) > 10
    for one in backends:
        assert f"\n| {one.name} |" in page


@pytest.mark.slow
def test_each_reference_page_is_on_the_site_with_its_places(site, reference):
    for name in reference:
        assert (site / f"{name}.html").exists(), name
    assert 'id="aisb-run"' in (site / "reference/commands.html").read_text("utf-8")
    assert 'id="backend-sim"' in (site / "reference/components.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "page"),
    [
        ("aisb", "names"),
        ("aisb.helpers", "names"),
        ("aisb_engine", "engine"),
        ("aisb_testing", "testing"),
        ("aisb_mock", "testing"),
    ],
)
def test_every_public_name_has_its_place(site, module, page):
    text = (site / f"reference/{page}.html").read_text("utf-8")
    for name in import_module(module).__all__:
        assert f'id="{module}.{name}"' in text


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", text)
        assert [tag for tag in loaded if 'rel="canonical"' not in tag] == [], page.name


def test_the_navigation_goes_from_the_quick_start_to_the_explanation():
    names = re.findall(
        r"^  - (.+?):", (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1], re.MULTILINE
    )
    order = ["Quick start", "How-to guides", "Concepts", "Reference", "Explanation"]
    assert [name for name in names if name in order] == order
    for readme in ("README.md", "docs/index.md"):
        shown = re.findall(r"\*\*([\w -]+)\*\*", (ROOT / readme).read_text("utf-8"))
        assert [name for name in shown if name in order] == order, readme


def test_each_page_opens_with_what_its_reader_can_do_after_it():
    for page in sorted((ROOT / "docs").rglob("*.md")):
        opening = "读完本页" if page.name.endswith(".zh.md") else "After this page"
        assert f"\n\n{opening}" in page.read_text("utf-8")[:600], page.name


@pytest.mark.slow
def test_each_reference_page_opens_with_what_its_reader_can_do_after_it(site):
    for page in sorted((site / "reference").glob("*.html")):
        assert "<p>After this page" in page.read_text("utf-8"), page.name


def test_the_chinese_readme_shows_the_commands_of_the_english_one():
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    table = re.compile(r"^\| `(aisb \S+)", re.MULTILINE)
    assert set(table.findall(english)) == set(table.findall(chinese)) != set()
    for line in re.findall(r"^(?:pip install|make|export|aisb) .*$", chinese, re.MULTILINE):
        command = line.split("#")[0].rstrip()
        assert command.removesuffix("\\").rstrip() in english, command


def chinese_pages():
    return sorted(path.name.removesuffix(".zh.md") for path in (ROOT / "docs").glob("*.zh.md"))


def commands(text):
    """Return the code blocks of a page, and the commands within its lines."""
    fenced = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    indented = re.compile(r"^    (?! ).+$", re.MULTILINE)
    rest = fenced.sub("", text)
    lines = re.findall(r"`((?:aisb|ais_bench|make|pip|python) [^`]+)`", indented.sub("", rest))
    return fenced.findall(text) + indented.findall(rest), {" ".join(line.split()) for line in lines}


@pytest.mark.parametrize("name", ["first-run", "faq", "load"])
def test_a_translated_page_has_the_commands_and_headings_of_the_english_one(name):
    english, chinese = ((ROOT / f"docs/{name}{end}").read_text("utf-8") for end in (".md", ".zh.md"))
    assert commands(chinese) == commands(english)
    headings = re.compile(r"^#+(?= )", re.MULTILINE)
    assert headings.findall(chinese) == headings.findall(english)


@pytest.mark.parametrize("name", ["tasks", "performance"])
def test_a_shortened_page_has_only_commands_of_the_english_one(name):
    english, chinese = ((ROOT / f"docs/{name}{end}").read_text("utf-8") for end in (".md", ".zh.md"))
    blocks, lines = commands(chinese)
    assert blocks
    assert set(blocks) <= set(commands(english)[0])
    assert lines <= commands(english)[1]


def test_every_chinese_page_and_its_english_one_link_each_other():
    assert set(chinese_pages()) >= {"aisbench", "faq", "first-run", "load", "performance", "tasks"}
    for name in chinese_pages():
        assert f"\n[中文]({name}.zh.md)\n" in (ROOT / f"docs/{name}.md").read_text("utf-8")
        assert f"\n[English]({name}.md)\n" in (ROOT / f"docs/{name}.zh.md").read_text("utf-8")
