"""The declaration of this package's commands."""

from __future__ import annotations

from aisb import Command, hookimpl


@hookimpl
def aisb_commands() -> list[Command]:
    """Declare the commands of this package."""
    return [
        Command(
            "audit",
            "Show which answers of a run may have been extracted wrongly.",
            "aisb_analysis._audit_command:audit",
        ),
        Command(
            "capacity",
            "Find the highest request rate of a service that meets objectives.",
            "aisb_analysis._capacity_command:capacity",
        ),
        Command(
            "compare",
            "Test whether two runs, or two models of a run, differ.",
            "aisb_analysis._compare_command:compare",
        ),
        Command(
            "export",
            "Write the samples, requests or results of a run as Parquet, CSV or JSON lines.",
            "aisb_analysis._export_command:export",
        ),
        Command(
            "grade",
            "Grade outputs from any source by a task's rules, without a run.",
            "aisb_analysis._grade_command:grade",
        ),
        Command(
            "pack",
            "Pack a run into one file that others can verify.",
            "aisb_analysis._pack_command:pack",
        ),
        Command(
            "sweep",
            "Measure a grid of loads and settings, and report all points together.",
            "aisb_analysis._sweep_command:sweep",
        ),
        Command(
            "verify",
            "Verify a packed run: hashes, log, and all numbers, which are recomputed.",
            "aisb_analysis._verify_command:verify",
        ),
    ]
