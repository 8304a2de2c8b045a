"""The commands that this package brings."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    return [
        Command(
            "audit",
            "Show which answers of a run may have been read wrongly.",
            "aisb_analysis._audit_command:audit",
        ),
        Command(
            "capacity",
            "Say how many requests a second a service can take under objectives.",
            "aisb_analysis._capacity_command:capacity",
        ),
        Command(
            "compare",
            "Say whether two runs, or two models of one, differ by more than chance.",
            "aisb_analysis._compare_command:compare",
        ),
        Command(
            "export",
            "Write the samples, requests or results of a run as Parquet, CSV or JSON lines.",
            "aisb_analysis._export_command:export",
        ),
        Command(
            "grade",
            "Grade outputs from anywhere by a task's rules, without a run.",
            "aisb_analysis._grade_command:grade",
        ),
        Command(
            "pack",
            "Pack a run into one file that anybody can check.",
            "aisb_analysis._pack_command:pack",
        ),
        Command(
            "sweep",
            "Measure a grid of loads and settings, and show all points together.",
            "aisb_analysis._sweep_command:sweep",
        ),
        Command(
            "verify",
            "Check a packed run: hashes, log, and every number computed again.",
            "aisb_analysis._verify_command:verify",
        ),
    ]
