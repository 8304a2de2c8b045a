"""`aisb plugins check`: run the conformance kit on an installed plugin, each check with its name."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import click

from aisb import UsageError
from aisb_testing._cases import CheckedCase
from aisb_testing._installed import CheckedComponent, checked_components, read_setup

CheckOutcome = Literal["ok", "FAILED", "expected to fail", "not expected to pass"]

SUMMARY: Mapping[CheckOutcome, str] = {
    "FAILED": "failed",
    "expected to fail": "failed as expected",
    "not expected to pass": "passed and expected to fail",
}


@click.command()
@click.argument("name")
@click.option(
    "--expect-failure", "expected", multiple=True, metavar="'COMPONENT: CHECK=REASON'",
    help="A check that may fail, with the reason, in addition to those in the plugin's conformance.toml.",
)  # fmt: skip
@click.option("--failures", is_flag=True, help="Print only failures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(name: str, expected: tuple[str, ...], failures: bool, as_json: bool) -> int:
    """Run the conformance kit on the installed plugin NAME, a distribution or its module.

    \b
      aisb plugins check aisb-backend-openai
    """  # noqa: D301 - \b is for click
    try:
        setup = read_setup(name)
        expected_failures = {**setup.expected_failures, **dict(map(_expected, expected))}
        components = list(checked_components(name, setup))
    except AssertionError as error:  # no such plugin is installed
        raise UsageError(str(error)) from error
    known = {f"{one.name}: {case.name}" for one in components for case in one.cases}
    for missing in expected_failures.keys() - known:
        raise UsageError(f"{missing!r} is expected to fail, but there is no such check")
    counts = _counts(components, expected_failures)
    if as_json:
        click.echo(json.dumps(_record(components, expected_failures), indent=2, ensure_ascii=False))
    else:
        for component in components:
            _print(component, expected_failures, failures=failures)
        click.echo(_summary(counts, sum(bool(one.skipped) for one in components)))
    return 1 if counts["FAILED"] or counts["not expected to pass"] else 0


def _expected(text: str) -> tuple[str, str]:
    name, equals, reason = text.partition("=")
    if not equals or not reason.strip():
        raise UsageError(f"--expect-failure {text!r}: write 'COMPONENT: CHECK=REASON', with a reason")
    return name.strip(), reason.strip()


def _outcome(component: str, case: CheckedCase, expected_failures: Mapping[str, str]) -> CheckOutcome:
    if f"{component}: {case.name}" in expected_failures:
        return "expected to fail" if case.problems else "not expected to pass"
    return "FAILED" if case.problems else "ok"


def _counts(
    components: Iterable[CheckedComponent], expected_failures: Mapping[str, str]
) -> Counter[CheckOutcome]:
    return Counter(_outcome(one.name, case, expected_failures) for one in components for case in one.cases)


def _print(component: CheckedComponent, expected_failures: Mapping[str, str], *, failures: bool) -> None:
    outcomes = [(case, _outcome(component.name, case, expected_failures)) for case in component.cases]
    shown = [(case, outcome) for case, outcome in outcomes if not failures or outcome != "ok"]
    if shown or component.skipped:
        click.echo(component.name)
    if component.skipped:
        click.echo(_indented(f"skipped: {component.skipped}"))
    for case, outcome in shown:
        click.echo(_indented(f"{outcome}: {case.name}" if outcome != "ok" else f"ok  {case.name}"))
        for problem in case.problems:
            click.echo(_indented(problem, 6))
        if outcome == "FAILED":
            click.echo(_indented(f"why: {case.reason}", 6))
        elif outcome != "ok":
            click.echo(_indented(f"why: {expected_failures[f'{component.name}: {case.name}']}", 6))


def _indented(text: str, by: int = 2) -> str:
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, initial_indent=" " * by, subsequent_indent=" " * (by + 2))


def _summary(counts: Counter[CheckOutcome], skipped: int) -> str:
    parts = [f"{counts.total()} checks: {counts['ok']} ok"]
    parts += [f"{counts[outcome]} {words}" for outcome, words in SUMMARY.items() if counts[outcome]]
    if skipped:
        parts.append(f"{skipped} component{'s' * (skipped > 1)} skipped")
    return ", ".join(parts)


def _record(
    components: Iterable[CheckedComponent], expected_failures: Mapping[str, str]
) -> list[dict[str, object]]:
    return [
        {
            "component": one.name,
            "skipped": one.skipped or None,
            "checks": [
                {
                    "name": case.name,
                    "reason": case.reason,
                    "outcome": _outcome(one.name, case, expected_failures),
                    "problems": list(case.problems),
                }
                for case in one.cases
            ],
        }
        for one in components
    ]
