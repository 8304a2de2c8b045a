"""The reference pages of the documentation site, made from the code: what mkdocs asks while it builds.

    mkdocs.yml names this file under `hooks`; `on_files` adds a page for each of PAGES.

A page is made from what is installed, through the same calls as `aisb --help`, `aisb plugins show` and
`aisb tasks show`, and from the docstrings of public names, so it cannot say what is not there.
"""
# ruff: noqa: INP001 - a program of the repository

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisb_cli.backend_abilities import COLUMNS, all_abilities, table
from aisb_cli.main import cli
from aisb_engine import Catalog, Component, Option, Plugins, factory_options, factory_summary, read_toml

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent
PUBLIC_PACKAGES = {
    "aisb": "core",
    "aisb_engine": "engine",
    "aisb_mock": "plugins/tools/mock",
    "aisb_testing": "plugins/tools/testing",
}
"""The folder of each package with public names."""
KINDS = {
    "backend": ("Backends", "How a service or a library is asked; by itself, a model with default options."),
    "dataset": ("Datasets", "Readers of rows, named by `use` in a task's `[dataset]`."),
    "postprocessor": ("Postprocessors", "Steps from a raw text towards an answer, in `[[postprocess]]`."),
    "evaluator": ("Evaluators", "Graders, in `[[evaluate]]`."),
    "environment": ("Environments", "Where a model acts over several requests, in `[environment]`."),
    "reporter": ("Reporters", "What shows a run: `--reporters`, or `[run] reporters`."),
    "launcher": (
        "Launchers",
        "What places workers: `--launcher`, or `[run] launcher`; options in `[launcher]`.",
    ),
    "importer": ("Importers", "What reads results of other tools for `aisb import`."),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site; mkdocs calls it."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, f"{name}.md", content=make()))
    for example in sorted(ROOT.glob("examples/*.py")):
        files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point at the examples where the site has them, and show the file name of each code block."""
    markdown = re.sub(r"\]\(((?:\.\./)*)\.\./examples/", r"](\1examples/", markdown)
    return re.sub(r"^```(\w+) (\S+)$", r'```\1 title="\2"', markdown, flags=re.MULTILINE)


def chinese() -> str:
    """Return the Chinese README as a page of the site."""
    text = (ROOT / "README.zh.md").read_text("utf-8")
    text = re.sub(r"\[([^]]+)\]\([A-Z]+\.md\)", r"\1", text.replace("[English](README.md)\n\n", ""))
    return text.replace("](docs/", "](")


def commands() -> str:
    """Return the page of every command, with its options as the command itself describes them."""
    parts = [
        "# Commands",
        "",
        "After this page you know every command and option.",
        "`aisb --help`, and `--help` after any command, print the same.",
        "",
    ]
    for path, command in _walk(cli, ["aisb"]):
        parts += _command(path, command)
    return "\n".join(parts) + "\n"


def _walk(command: click.Command, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    if len(path) > 1:
        yield path, command
    if isinstance(command, click.Group):
        with click.Context(command, info_name=path[-1]) as context:
            found = {name: command.get_command(context, name) for name in command.list_commands(context)}
        for name, below in found.items():
            if below is not None:
                yield from _walk(below, [*path, name])


def _command(path: list[str], command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    yield f"{'#' * min(len(path), 4)} {' '.join(path)}"
    yield ""
    if not isinstance(command, click.Group):
        yield f"```\n{' '.join([' '.join(path), *command.collect_usage_pieces(context)])}\n```\n"
    yield _help(command.help or "")
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and "--help" not in record[0]
    ]
    if records and not isinstance(command, click.Group):
        yield _table(("option", "meaning"), ((_code(name), _plain(text)) for name, text in records))


def _help(text: str) -> str:
    """Write a command's help text as Markdown: a paragraph that click leaves as it is keeps its lines."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.partition("\f")[0].strip()):
        lines = [line.rstrip() for line in paragraph.split("\n")]
        if lines[0].strip() == "\b":
            paragraphs.append("\n".join(["```", textwrap.dedent("\n".join(lines[1:])), "```"]))
        else:
            paragraphs.append(_plain(" ".join(line.strip() for line in lines)))
    return "\n\n".join(paragraphs) + "\n"


def models() -> str:
    """Return the page of the model files that plugins bring, by plugin."""
    catalog = Catalog(Plugins.load())
    parts = [
        "# Models",
        "",
        "After this page you can choose a model file for your service. `--models` takes these names, and",
        "those of the [backends](components.md#backends) themselves. Options change with",
        "`--set model.KEY=VALUE` or in `aisb.toml`; nobody edits an installed file.",
        "",
    ]
    rows = []
    for entry in catalog.entries("model"):
        table = read_toml(entry.path)
        rows.append(
            (_code(entry.name), _plain(table.get("summary", "")), _code(table["backend"]), entry.plugin)
        )
    return "\n".join([*parts, _table(("model", "what it is for", "backend", "plugin"), rows)])


def backends() -> str:
    """Return the page of what each backend can do, as `aisb plugins list --backends` prints it."""
    found = all_abilities(Plugins.load().components())
    parts = [
        "# What each backend can do",
        "",
        "After this page you can choose the backend for what a task needs. `aisb plugins list --backends`",
        "prints the same of what is installed. The values are those of the default options; – shows once a",
        "model is loaded, or does not apply.",
        "",
        _table(COLUMNS, table(found)),
        "",
        _table(("column", "meaning"), ((_code(name), _plain(text)) for name, text in COLUMNS.items())),
    ]
    return "\n".join(parts)


def components() -> str:
    """Return the page of every component of every kind, with its options."""
    found = Plugins.load().components()
    parts = [
        "# Components and their options",
        "",
        "After this page you know every option of every component. `aisb plugins show NAME` prints the same.",
        "",
    ]
    for kind, (title, words) in KINDS.items():
        parts += [f"## {title}", "", words, ""]
        for component in sorted((c for c in found if c.kind == kind), key=lambda c: c.name):
            parts += _component(component)
    return "\n".join(parts)


def _component(component: Component) -> Iterator[str]:
    yield f"### {component.name} {{ #{component.kind}-{component.name} }}"
    yield ""
    first = factory_summary(component.factory)
    yield f"{_plain(first)}\n"
    yield f"From `{component.distribution}`.\n"
    if known := factory_options(component.factory):
        yield _table(("option", "type", "default", "meaning"), map(_option, known))


def _option(option: Option) -> tuple[str, str, str, str]:
    default = (
        "–" if option.default is None else _code(json.dumps(option.default, ensure_ascii=False, default=str))
    )
    if option.required:
        default = "required"
    return _code(option.name), _code(option.type), default, _plain(option.help)


def names(title: str, summary: str, modules: Iterable[str]) -> str:
    """Return a page of the public names of modules, from their docstrings."""
    parts = [f"# {title}", "", f"{summary} [What is stable](../stability.md) says how long a name lives.", ""]
    for module in modules:
        parts += [f"## {module}", ""]
        for name in sorted(import_module(module).__all__, key=str.lower):
            parts += _name(name, _packages()[f"{module}.{name}"].final_target, module)
    return "\n".join(parts)


@cache
def _packages() -> Any:
    """Return all packages with public names, read together: a package may export names of another one."""
    import griffe

    loader = griffe.GriffeLoader(search_paths=[str(ROOT / folder) for folder in PUBLIC_PACKAGES.values()])
    for package in PUBLIC_PACKAGES:
        loader.load(package)
    loader.resolve_aliases(implicit=True, external=False)
    return loader.modules_collection


def _name(name: str, value: Any, module: str) -> Iterator[str]:
    """Write one public name: how it is written, what it is, and the public members of a class."""
    yield f"### {name} {{ #{module}.{name} }}\n"
    yield f"```python\n{_declaration(name, value)}\n```\n"
    if value.docstring:
        yield f"{_paragraphs(value.docstring.value)}\n"
    if value.is_class:
        members = {
            key: one for key, one in value.members.items() if not key.startswith("_") and one.docstring
        }
        for key, one in members.items():
            yield f"```python\n{_declaration(key, one)}\n```\n"
            yield f"{_paragraphs(one.docstring.value)}\n"


def _declaration(name: str, value: Any) -> str:
    """Return a name as code has it: with parameters, with bases and fields, or with its type or value."""
    if value.is_function:
        return f"{'async ' if 'async' in value.labels else ''}def {value.signature(name=name)}"
    if value.is_class:
        bases = f"({', '.join(map(str, value.bases))})" if value.bases else ""
        fields = [
            f"    {key}: {one.annotation}" + (f" = {one.value}" if one.value is not None else "")
            for key, one in value.members.items()
            if one.is_attribute and one.annotation and not key.startswith("_") and not one.docstring
        ]
        return "\n".join([f"class {name}{bases}" + (":" if fields else ""), *fields])
    if value.annotation and str(value.annotation) != "TypeAlias":
        return f"{name}: {value.annotation}"
    return f"{name} = {value.value}"


def _paragraphs(text: str) -> str:
    """Write a docstring as Markdown: a list keeps its lines, and a headline such as `Raises:` is bold."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        first, *lines = paragraph.split("\n")
        if re.fullmatch(r"\w+:", first) and lines:
            items = re.split(r"\n(?=\S)", textwrap.dedent("\n".join(lines)))
            paragraphs += [f"**{first}**", "\n".join(f"- {_plain(item)}" for item in items)]
        elif first.startswith("- "):
            items = re.sub(r"\n  ", " ", paragraph).split("\n")
            paragraphs.append("\n".join(f"- {_plain(item.removeprefix('- '))}" for item in items))
        else:
            paragraphs.append(_plain(paragraph))
    return "\n\n".join(paragraphs)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(row) + " |\n" for row in lines)


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`" if text else ""


def _plain(text: str) -> str:
    """Escape what Markdown, a table or HTML would read as marks, outside of `code`."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(p if p.startswith("`") else re.sub(r"[<>*_{}|\[\]\\]", _entity, p) for p in parts)


def _entity(mark: re.Match[str]) -> str:
    return f"&#{ord(mark[0])};"


PAGES = {
    "reference/commands": commands,
    "reference/models": models,
    "reference/backends": backends,
    "reference/components": components,
    "reference/names": partial(
        names,
        "Public names",
        "After this page you know the names that a plugin may use.",
        ("aisb", "aisb.helpers"),
    ),
    "reference/engine": partial(
        names,
        "Names of the engine",
        "After this page you know what commands, tools and programs may use besides the names for plugins.",
        ("aisb_engine",),
    ),
    "reference/testing": partial(
        names,
        "Names for tests",
        "After this page you know what tests may use: the conformance kit, services, the mock server.",
        ("aisb_testing", "aisb_mock"),
    ),
    "zh": chinese,
}
