"""What plugins may use besides the base classes: readers of files, templates, intervals, and texts."""

from __future__ import annotations

from aisb._errors import did_you_mean, listed
from aisb._evaluator import finds_answer, target_texts
from aisb._media import data_url
from aisb._patterns import pattern
from aisb._readers import csv as read_csv
from aisb._readers import json as read_json
from aisb._readers import jsonl as read_jsonl
from aisb._refusal import is_refusal
from aisb._report import csv_cell, write_file
from aisb._stats import clustered, cons_at_k, mean_interval, pass_at_k, wilson
from aisb._templates import Template, as_text, optional

__all__ = [
    "Template", "as_text", "clustered", "cons_at_k", "csv_cell", "data_url", "did_you_mean", "finds_answer",
    "is_refusal", "listed", "mean_interval", "optional", "pass_at_k", "pattern", "read_csv", "read_json",
    "read_jsonl", "target_texts", "wilson", "write_file",
]  # fmt: skip
