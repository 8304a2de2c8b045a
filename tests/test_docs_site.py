"""The documentation site: it builds without a warning, has a page for every command, and loads nothing from elsewhere."""

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


def test_every_command_has_its_place_with_its_options(site):
    import click

    from aisb_cli.main import cli
    from aisb_cli.run_command import run

    page = (site / "reference/commands.html").read_text("utf-8")
    for name in cli.list_commands(click.Context(cli)):
        assert f'id="aisb-{name}"' in page, name
    for option in run.params:
        if not option.opts[0].startswith("--help") and not option.hidden:
            assert max(option.opts, key=len) in page, option.opts


def test_every_component_and_model_has_its_place(site):
    from aisb._plugins import Plugins
    from aisb_engine._resolve.catalog import Catalog

    plugins = Plugins.load()
    page = (site / "reference/components.html").read_text("utf-8")
    for component in plugins.components():
        assert f'id="{component.kind}-{component.name}"' in page
    page = (site / "reference/models.html").read_text("utf-8")
    for entry in Catalog(plugins).entries("model"):
        assert f"<code>{entry.name}</code>" in page


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


def test_no_page_loads_anything_from_another_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+", text)
        assert [tag for tag in loaded if 'rel="canonical"' not in tag] == [], page.name


def test_the_chinese_readme_shows_the_commands_of_the_english_one():
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    table = re.compile(r"^\| `(aisb \S+)", re.MULTILINE)
    assert set(table.findall(english)) == set(table.findall(chinese)) != set()
    for line in re.findall(r"^(?:pip install|make|export|aisb) .*$", chinese, re.MULTILINE):
        command = line.split("#")[0].rstrip()
        assert command.removesuffix("\\").rstrip() in english, command
