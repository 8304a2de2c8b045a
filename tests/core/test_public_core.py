"""The public API is these names and no others, and core stays small.

A name that is added or removed is added or removed here, on purpose: plugins are written against it.
"""

import sys
from importlib import import_module
from inspect import isfunction
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 2000

PUBLIC = {
    "aisb": """
OUTCOMES TOKEN_KINDS AchievedLoad AisbError Ask AttemptFailed Backend BatchSize CacheNonce
Certificate Channel CheckFailed Chunk ChunkKind Client Command CommandContext ConfigError Counters
DataError DataFile DataFiles DataMissing DialectResult Dialects Distribution EndpointPath Environment Episode Evaluator
Extract Failure FailureKind Fetched FinishedRun Gauge Goodput HttpBackend HttpCall ImportedAnswer
ImportedRow ImportedTask Importer InputLength Job Launcher Logprob LoraAdapters Message Metric Objectives
Outcome OutputLength Part Percentiles PerformanceResult PluginError Postprocessor Prediction PromptPool
ReplyTokenizer Reporter Request RequestedLoad Result Role Row RowCount Rows RunError Sample Score
ServedModel ServiceError ServiceInfo Signal Stage StageTotals Timing TokenScores Tokenizer
UnknownName Usage UsageError Window hookimpl run
""",
    "aisb.helpers": """
Template as_text clustered cons_at_k csv_cell data_url did_you_mean finds_answer is_refusal listed
mean_interval optional pass_at_k pattern read_csv read_json read_jsonl target_texts wilson
write_file
""",
    "aisb_mock": """
Ask Behaviour Dialect Event MockOptions MockProcess Refused Reply ToolCall dialect_of start_mock
""",
    "aisb_testing": """
DONE ScriptedService ServedRequest ServiceTruth Step chat_event chat_stream check_backend check_command
check_dataset check_environment check_evaluator check_importer check_installed check_launcher check_plugin check_postprocessor check_reporter
event_stream make_mp4 make_png make_wav sse usage_of whole_reply
""",
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module):
    assert sorted(import_module(module).__all__) == sorted(PUBLIC[module].split())


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_is_there_and_says_what_it_is(module):
    for name in import_module(module).__all__:
        value = getattr(import_module(module), name)
        if isinstance(value, type) or isfunction(value):
            assert (value.__doc__ or "").strip(), name


def test_core_has_at_most_two_thousand_lines_of_code():
    sys.path.insert(0, str(ROOT / "tools"))
    from lines_of_code import lines_of_code

    sys.path.remove(str(ROOT / "tools"))
    assert sum(map(lines_of_code, (ROOT / "core" / "aisb").rglob("*.py"))) <= MOST_LINES
