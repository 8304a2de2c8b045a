"""A run as JUnit XML: a suite a model and task; a test an answer, or one test that a score must pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.etree import ElementTree as ET

from aisb import FinishedRun, Result, Row, RunError
from aisb_reporter_summary._json import first_scores
from aisb_reporter_summary._not_sent import unsent_requests
from aisb_reporter_summary._speeds import performances
from aisb_reporter_summary._table import some_groups

MAX_MESSAGE_LENGTH = 2000
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML file can hold, not even escaped; models write them all the same."""


class Test(NamedTuple):
    """One test: `failed` is why it failed, `kind` in which way; an error is a request without an answer.

    `skipped` is why it was not made.
    """

    name: str
    said: str = ""
    failed: str = ""
    kind: str = ""
    skipped: str = ""


def as_junit(run: FinishedRun, least: float | None = None) -> bytes:
    """Return the XML of a run."""
    root = ET.Element("testsuites", {"name": f"aisb {run.timestamp}"})
    unsent = unsent_requests(run)
    for result in run.results:
        tests = list(_answers(run, result) if least is None else _score(result, least))
        tests += [Test("plugins", failed=fault, kind="error") for fault in result.faults]
        tests += _skipped(unsent, result.model, result.task)
        suite = _suite(f"{result.task} · {result.model}", result.model, result.task, tests)
        if result.trial:
            properties = ET.Element("properties")
            ET.SubElement(properties, "property", {"name": "trial", "value": " ".join(result.trial)})
            suite.insert(0, properties)
        root.append(suite)
    for found in performances(run):
        certificate = found.certificate
        failed = "\n".join(certificate.reasons) if certificate.verdict == "INVALID" else ""
        test = Test("certificate", certificate.verdict, failed, certificate.verdict)
        tests = [test, *_skipped(unsent, found.model, found.task)]
        root.append(_suite(f"{found.task} · {found.model}", found.model, found.task, tests))
    for model, task in () if run.is_performance else run.unscored:
        if tests := list(_skipped(unsent, model, task)):
            root.append(_suite(f"{task} · {model}", model, task, tests))
    ET.indent(root)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _answers(run: FinishedRun, result: Result) -> Iterator[Test]:
    scores = first_scores(run, result)
    if not scores and result.predictions and not result.faults:
        raise RunError(
            f"{run.folder} has no verdicts on single answers of {result.model} on {result.task}\n"
            f"  score it again: {run.command('aisb score')}"
        )
    yield from map(_answer, scores)


def _answer(score: Row) -> Test:
    name = f"{score['id']}.r{score['repeat']}" if score["repeat"] else score["id"]
    outcome: str = score["outcome"]
    if outcome == "correct":
        return Test(name)
    reasons = [outcome]
    if score["answer"] is not None:
        reasons.append(f"answer {score['answer']}" + (f" (by {score['rule']})" if score["rule"] else ""))
    reasons += [str(score["details"][key]) for key in ("failure", "raised") if key in score["details"]]
    return Test(name, failed=": ".join(reasons), kind=outcome)


def _score(result: Result, least: float) -> Iterator[Test]:
    headline = result.headline
    value = headline.value if headline else None
    name = headline.name if headline else "score"
    said = "no score" if value is None else f"{value:.2f}"
    if headline and (groups := some_groups(headline)):
        said += f" over {groups}"
    low = value is None or value < least
    yield Test(f"{name} >= {least:g}", said, f"{name} is {said}, less than {least:g}" if low else "", "score")


def _skipped(unsent: Mapping[tuple[str, str], int], model: str, task: str) -> Iterator[Test]:
    """Yield one test that was skipped, for all requests that were not sent."""
    if count := unsent.get((model, task)):
        yield Test("not sent", skipped=f"{count} requests were not sent")


def _suite(name: str, model: str, task: str, tests: list[Test]) -> ET.Element:
    errors = sum(bool(test.failed) and test.kind == "error" for test in tests)
    failures = sum(bool(test.failed) for test in tests) - errors
    counts = {"tests": str(len(tests)), "failures": str(failures), "errors": str(errors)}
    if skipped := sum(bool(test.skipped) for test in tests):
        counts["skipped"] = str(skipped)
    suite = ET.Element("testsuite", {"name": _clean(name), **counts})
    for test in tests:
        case = ET.SubElement(
            suite, "testcase", {"classname": _clean(f"{model}.{task}"), "name": _clean(test.name)}
        )
        if test.failed:
            tag = "error" if test.kind == "error" else "failure"
            text = _clean(test.failed)
            message = {"message": text.split("\n", 1)[0][:200], "type": test.kind}
            ET.SubElement(case, tag, message).text = text
        if test.skipped:
            ET.SubElement(case, "skipped", {"message": test.skipped})
        if test.said:
            ET.SubElement(case, "system-out").text = _clean(test.said)
    return suite


def _clean(text: str) -> str:
    """Return a text as XML can hold it, cut where it is very long."""
    is_long = len(text) > MAX_MESSAGE_LENGTH
    cut = f"{text[:MAX_MESSAGE_LENGTH]} … ({len(text):,} characters)" if is_long else text
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", cut)
