"""Run programs of others: with the user's permission, a deadline, and no keys."""

from __future__ import annotations

from aisb_processes._lines import LineProcess, SlowProcessError
from aisb_processes._permission import ALLOW_CODE, check_code_allowed, is_set
from aisb_processes._programs import run_program

__all__ = ["ALLOW_CODE", "LineProcess", "SlowProcessError", "check_code_allowed", "is_set", "run_program"]
