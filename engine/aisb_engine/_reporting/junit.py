"""Write the results of a command's checks as JUnit XML for continuous integration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitCase(NamedTuple):
    """One check as a test: its group and name, what was found, and whether it failed."""

    group: str
    name: str
    text: str
    failed: bool


def to_junit(command: str, cases: Iterable[JunitCase]) -> bytes:
    """Return the XML of a test suite with these cases; its name is that of the command."""
    cases = list(cases)
    failures = sum(case.failed for case in cases)
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": command, "tests": str(len(cases)), "failures": str(failures), "errors": "0"},
    )
    for case in cases:
        names = {"classname": _clean(case.group), "name": _clean(case.name)}
        element = ET.SubElement(suite, "testcase", names)
        text = _clean(case.text)
        if case.failed:
            failure = ET.SubElement(element, "failure", {"message": text.split("\n", 1)[0]})
            failure.text = text
        else:
            ET.SubElement(element, "system-out").text = text
    ET.indent(root)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
