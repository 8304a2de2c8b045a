"""A comparison as JUnit XML, which continuous integration shows as tests: a regression is a failure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET


class Case(NamedTuple):
    """One comparison as a test: its name, what was found, and whether it is a regression."""

    group: str
    name: str
    text: str
    failed: bool


def to_junit(cases: Iterable[Case]) -> bytes:
    """Return the XML of a test suite with these cases."""
    cases = list(cases)
    failures = sum(case.failed for case in cases)
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": "aisb compare", "tests": str(len(cases)), "failures": str(failures), "errors": "0"},
    )
    for case in cases:
        element = ET.SubElement(suite, "testcase", {"classname": case.group, "name": case.name})
        if case.failed:
            failure = ET.SubElement(element, "failure", {"message": case.text.split("\n", 1)[0]})
            failure.text = case.text
        else:
            ET.SubElement(element, "system-out").text = case.text
    ET.indent(root)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"
