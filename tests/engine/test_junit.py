"""Checks of a command as JUnit XML."""

from __future__ import annotations

from aisb_engine import JunitCase, to_junit


def test_junit_has_a_failure_for_each_check_that_failed() -> None:
    xml = to_junit(
        "aisb compare",
        [
            JunitCase("new", "gsm8k", "worse: 80 to 60\nold and new", failed=True),
            JunitCase("new", "mmlu", "tie <&>\x1b", failed=False),
        ],
    )
    assert xml.decode() == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<testsuites>\n"
        '  <testsuite name="aisb compare" tests="2" failures="1" errors="0">\n'
        '    <testcase classname="new" name="gsm8k">\n'
        '      <failure message="worse: 80 to 60">worse: 80 to 60\nold and new</failure>\n'
        "    </testcase>\n"
        '    <testcase classname="new" name="mmlu">\n'
        "      <system-out>tie &lt;&amp;&gt;�</system-out>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "</testsuites>\n"
    )
