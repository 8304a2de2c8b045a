"""The engine of aisb: resolve a run, send its requests, log the replies, score and measure them.

Commands and programs use the names in `__all__`. Each is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb._discovery import KINDS, PluginInfo
    from aisb._errors import error_words
    from aisb._options import Option
    from aisb._options import bind as bind_options
    from aisb._options import options as factory_options
    from aisb._options import summary as factory_summary
    from aisb._plugins import Component, Plugins
    from aisb_engine._commands import DeclaredCommand, DeclaredCommands, duplicate_command_error
    from aisb_engine._data.data_columns import DataColumns
    from aisb_engine._data.data_file_tasks import is_data_file, task_from_data_file, tasks_from_data_files
    from aisb_engine._data.datafiles import DataFolders
    from aisb_engine._data.loading import LoadedSamples, load_samples, reads_files
    from aisb_engine._data.places import locate as locate_data
    from aisb_engine._data.prompts import Renderer
    from aisb_engine._data.samples import BrokenRow, SampleMaker
    from aisb_engine._faults import ComponentError, PluginFaults, StepError, call_step
    from aisb_engine._faults import make as make_component
    from aisb_engine._faults import owner as component_owner
    from aisb_engine._http.client import EngineClient
    from aisb_engine._http.client import connect as connect_backend
    from aisb_engine._http.single import ServiceClient
    from aisb_engine._http.waiting import waiting_for as wait_for_service
    from aisb_engine._import_performance import ImportedPerformance, TimedAnswer
    from aisb_engine._import_run import ImportedPart, write_imported
    from aisb_engine._load.answering import answer_requests
    from aisb_engine._load.connection_limits import ConnectionLimits, connection_limits
    from aisb_engine._load.connection_limits import cores as usable_cores
    from aisb_engine._load.preparing import preview as preview_requests
    from aisb_engine._load.selecting import select_rows
    from aisb_engine._load.session_facts import CacheShare, prefix_cache_share
    from aisb_engine._masking import mask_secrets, mask_url, printable
    from aisb_engine._performance.objectives import (
        JudgedObjective,
        Objective,
        judge_objectives,
        parse_objectives,
    )
    from aisb_engine._performance.objectives import request_limits as parse_goodput
    from aisb_engine._performance.objectives import run_objectives as parse_run_objectives
    from aisb_engine._performance.performance import measure as measure_performance
    from aisb_engine._performance.sessions import parse_tier
    from aisb_engine._plan import RunCommand
    from aisb_engine._plan import plan as plan_run
    from aisb_engine._progress import Display, Phase, Progress
    from aisb_engine._quality import QUALITY_LEVELS, declared_quality
    from aisb_engine._readback import (
        Answers,
        Grade,
        OpenedRun,
        grade_notes,
        judge_from_log,
        open_run,
        read_answers,
        read_grades,
    )
    from aisb_engine._recompute import Recomputed, recompute_results
    from aisb_engine._record.latency import latency as request_latency
    from aisb_engine._record.log import LogFacts, inspect_log, rewrite_log
    from aisb_engine._record.manifest import identity_differences as identity_differences
    from aisb_engine._record.manifest import task_version
    from aisb_engine._record.predictions import prompt_of
    from aisb_engine._record.runfolder import RunFolder, write_atomically
    from aisb_engine._record.runfolder import read_json as read_run_json
    from aisb_engine._replies.thoughts import VisibleText
    from aisb_engine._reporting.finished import open_finished_run
    from aisb_engine._reporting.junit import JunitCase, to_junit
    from aisb_engine._reporting.measuring import MeasuringOptions
    from aisb_engine._reporting.reporters import reporter_names
    from aisb_engine._reporting.runs import STATUSES as RUN_STATUSES
    from aisb_engine._reporting.runs import RunInfo, read_progress, read_run, started_at
    from aisb_engine._reporting.runs import is_written as is_being_written
    from aisb_engine._reporting.runs import removable as find_removable_run
    from aisb_engine._reporting.runs import size as run_size
    from aisb_engine._reporting.runs import write_notes as write_run_notes
    from aisb_engine._reporting.several import report_several
    from aisb_engine._resolve.catalog import Catalog, Selection, read_toml, read_user_file
    from aisb_engine._resolve.config import resolve as resolve_run
    from aisb_engine._resolve.judge import judge_of
    from aisb_engine._resolve.layers import Resolver, RunInput
    from aisb_engine._resolve.names import safe_name, split_names
    from aisb_engine._resolve.params import ENGINE_PARAMS, KNOWN_PARAMS, sends
    from aisb_engine._resolve.reporting import reporter_table
    from aisb_engine._resolve.tables import launcher_options
    from aisb_engine._run import ExecutedRun
    from aisb_engine._run import execute as execute_run
    from aisb_engine._run import report as report_run
    from aisb_engine._run_config import resolved as run_configuration
    from aisb_engine._scoring.evaluators import evaluator_uses, make_evaluators
    from aisb_engine._scoring.grading import CORRECT_THRESHOLD
    from aisb_engine._scoring.judges import is_judged, missing_judge_error
    from aisb_engine._scoring.judging import Judging
    from aisb_engine._scoring.metrics import OutcomeCounts
    from aisb_engine._scoring.scoring import score as score_predictions
    from aisb_engine._scoring.second_readings import TRUSTED_AGREEMENT, is_contested, other_extractors
    from aisb_engine._scoring.steps import Steps, reply_turns_of
    from aisb_engine._spec import MarksTable, PromptTable, PullTable, RunSpec, SampleTable, Subtask, Task, Use
    from aisb_engine._stream import COMPILED

__version__ = "0.2.0"

_PLACES = {
    "Answers": "aisb_engine._readback:Answers",
    "BrokenRow": "aisb_engine._data.samples:BrokenRow",
    "COMPILED": "aisb_engine._stream:COMPILED",
    "CORRECT_THRESHOLD": "aisb_engine._scoring.grading:CORRECT_THRESHOLD",
    "CacheShare": "aisb_engine._load.session_facts:CacheShare",
    "Catalog": "aisb_engine._resolve.catalog:Catalog",
    "Component": "aisb._plugins:Component",
    "ComponentError": "aisb_engine._faults:ComponentError",
    "ConnectionLimits": "aisb_engine._load.connection_limits:ConnectionLimits",
    "DataColumns": "aisb_engine._data.data_columns:DataColumns",
    "DataFolders": "aisb_engine._data.datafiles:DataFolders",
    "DeclaredCommand": "aisb_engine._commands:DeclaredCommand",
    "DeclaredCommands": "aisb_engine._commands:DeclaredCommands",
    "Display": "aisb_engine._progress:Display",
    "ENGINE_PARAMS": "aisb_engine._resolve.params:ENGINE_PARAMS",
    "EngineClient": "aisb_engine._http.client:EngineClient",
    "ExecutedRun": "aisb_engine._run:ExecutedRun",
    "Grade": "aisb_engine._readback:Grade",
    "ImportedPart": "aisb_engine._import_run:ImportedPart",
    "ImportedPerformance": "aisb_engine._import_performance:ImportedPerformance",
    "JudgedObjective": "aisb_engine._performance.objectives:JudgedObjective",
    "Judging": "aisb_engine._scoring.judging:Judging",
    "JunitCase": "aisb_engine._reporting.junit:JunitCase",
    "KINDS": "aisb._discovery:KINDS",
    "KNOWN_PARAMS": "aisb_engine._resolve.params:KNOWN_PARAMS",
    "LoadedSamples": "aisb_engine._data.loading:LoadedSamples",
    "LogFacts": "aisb_engine._record.log:LogFacts",
    "MarksTable": "aisb_engine._spec:MarksTable",
    "MeasuringOptions": "aisb_engine._reporting.measuring:MeasuringOptions",
    "Objective": "aisb_engine._performance.objectives:Objective",
    "OpenedRun": "aisb_engine._readback:OpenedRun",
    "Option": "aisb._options:Option",
    "OutcomeCounts": "aisb_engine._scoring.metrics:OutcomeCounts",
    "Phase": "aisb_engine._progress:Phase",
    "PluginFaults": "aisb_engine._faults:PluginFaults",
    "PluginInfo": "aisb._discovery:PluginInfo",
    "Plugins": "aisb._plugins:Plugins",
    "Progress": "aisb_engine._progress:Progress",
    "PromptTable": "aisb_engine._spec:PromptTable",
    "PullTable": "aisb_engine._spec:PullTable",
    "QUALITY_LEVELS": "aisb_engine._quality:QUALITY_LEVELS",
    "RUN_STATUSES": "aisb_engine._reporting.runs:STATUSES",
    "Recomputed": "aisb_engine._recompute:Recomputed",
    "Renderer": "aisb_engine._data.prompts:Renderer",
    "Resolver": "aisb_engine._resolve.layers:Resolver",
    "RunCommand": "aisb_engine._plan:RunCommand",
    "RunFolder": "aisb_engine._record.runfolder:RunFolder",
    "RunInfo": "aisb_engine._reporting.runs:RunInfo",
    "RunInput": "aisb_engine._resolve.layers:RunInput",
    "RunSpec": "aisb_engine._spec:RunSpec",
    "SampleMaker": "aisb_engine._data.samples:SampleMaker",
    "SampleTable": "aisb_engine._spec:SampleTable",
    "Selection": "aisb_engine._resolve.catalog:Selection",
    "ServiceClient": "aisb_engine._http.single:ServiceClient",
    "StepError": "aisb_engine._faults:StepError",
    "Steps": "aisb_engine._scoring.steps:Steps",
    "Subtask": "aisb_engine._spec:Subtask",
    "TRUSTED_AGREEMENT": "aisb_engine._scoring.second_readings:TRUSTED_AGREEMENT",
    "Task": "aisb_engine._spec:Task",
    "TimedAnswer": "aisb_engine._import_performance:TimedAnswer",
    "Use": "aisb_engine._spec:Use",
    "VisibleText": "aisb_engine._replies.thoughts:VisibleText",
    "answer_requests": "aisb_engine._load.answering:answer_requests",
    "bind_options": "aisb._options:bind",
    "call_step": "aisb_engine._faults:call_step",
    "component_owner": "aisb_engine._faults:owner",
    "connect_backend": "aisb_engine._http.client:connect",
    "connection_limits": "aisb_engine._load.connection_limits:connection_limits",
    "declared_quality": "aisb_engine._quality:declared_quality",
    "duplicate_command_error": "aisb_engine._commands:duplicate_command_error",
    "error_words": "aisb._errors:error_words",
    "evaluator_uses": "aisb_engine._scoring.evaluators:evaluator_uses",
    "execute_run": "aisb_engine._run:execute",
    "factory_options": "aisb._options:options",
    "factory_summary": "aisb._options:summary",
    "find_removable_run": "aisb_engine._reporting.runs:removable",
    "grade_notes": "aisb_engine._readback:grade_notes",
    "identity_differences": "aisb_engine._record.manifest:identity_differences",
    "inspect_log": "aisb_engine._record.log:inspect_log",
    "is_being_written": "aisb_engine._reporting.runs:is_written",
    "is_contested": "aisb_engine._scoring.second_readings:is_contested",
    "is_data_file": "aisb_engine._data.data_file_tasks:is_data_file",
    "is_judged": "aisb_engine._scoring.judges:is_judged",
    "judge_from_log": "aisb_engine._readback:judge_from_log",
    "judge_objectives": "aisb_engine._performance.objectives:judge_objectives",
    "judge_of": "aisb_engine._resolve.judge:judge_of",
    "launcher_options": "aisb_engine._resolve.tables:launcher_options",
    "load_samples": "aisb_engine._data.loading:load_samples",
    "locate_data": "aisb_engine._data.places:locate",
    "make_component": "aisb_engine._faults:make",
    "make_evaluators": "aisb_engine._scoring.evaluators:make_evaluators",
    "mask_secrets": "aisb_engine._masking:mask_secrets",
    "mask_url": "aisb_engine._masking:mask_url",
    "measure_performance": "aisb_engine._performance.performance:measure",
    "missing_judge_error": "aisb_engine._scoring.judges:missing_judge_error",
    "open_finished_run": "aisb_engine._reporting.finished:open_finished_run",
    "open_run": "aisb_engine._readback:open_run",
    "other_extractors": "aisb_engine._scoring.second_readings:other_extractors",
    "parse_goodput": "aisb_engine._performance.objectives:request_limits",
    "parse_objectives": "aisb_engine._performance.objectives:parse_objectives",
    "parse_run_objectives": "aisb_engine._performance.objectives:run_objectives",
    "parse_tier": "aisb_engine._performance.sessions:parse_tier",
    "plan_run": "aisb_engine._plan:plan",
    "prefix_cache_share": "aisb_engine._load.session_facts:prefix_cache_share",
    "preview_requests": "aisb_engine._load.preparing:preview",
    "printable": "aisb_engine._masking:printable",
    "prompt_of": "aisb_engine._record.predictions:prompt_of",
    "read_answers": "aisb_engine._readback:read_answers",
    "read_grades": "aisb_engine._readback:read_grades",
    "read_progress": "aisb_engine._reporting.runs:read_progress",
    "read_run": "aisb_engine._reporting.runs:read_run",
    "read_run_json": "aisb_engine._record.runfolder:read_json",
    "read_toml": "aisb_engine._resolve.catalog:read_toml",
    "read_user_file": "aisb_engine._resolve.catalog:read_user_file",
    "reads_files": "aisb_engine._data.loading:reads_files",
    "recompute_results": "aisb_engine._recompute:recompute_results",
    "reply_turns_of": "aisb_engine._scoring.steps:reply_turns_of",
    "report_run": "aisb_engine._run:report",
    "report_several": "aisb_engine._reporting.several:report_several",
    "reporter_names": "aisb_engine._reporting.reporters:reporter_names",
    "reporter_table": "aisb_engine._resolve.reporting:reporter_table",
    "request_latency": "aisb_engine._record.latency:latency",
    "resolve_run": "aisb_engine._resolve.config:resolve",
    "rewrite_log": "aisb_engine._record.log:rewrite_log",
    "run_configuration": "aisb_engine._run_config:resolved",
    "run_size": "aisb_engine._reporting.runs:size",
    "safe_name": "aisb_engine._resolve.names:safe_name",
    "score_predictions": "aisb_engine._scoring.scoring:score",
    "select_rows": "aisb_engine._load.selecting:select_rows",
    "sends": "aisb_engine._resolve.params:sends",
    "split_names": "aisb_engine._resolve.names:split_names",
    "started_at": "aisb_engine._reporting.runs:started_at",
    "task_from_data_file": "aisb_engine._data.data_file_tasks:task_from_data_file",
    "task_version": "aisb_engine._record.manifest:task_version",
    "tasks_from_data_files": "aisb_engine._data.data_file_tasks:tasks_from_data_files",
    "to_junit": "aisb_engine._reporting.junit:to_junit",
    "usable_cores": "aisb_engine._load.connection_limits:cores",
    "wait_for_service": "aisb_engine._http.waiting:waiting_for",
    "write_atomically": "aisb_engine._record.runfolder:write_atomically",
    "write_imported": "aisb_engine._import_run:write_imported",
    "write_run_notes": "aisb_engine._reporting.runs:write_notes",
}
"""The place of each public name."""

_RENAMED = {
    "CORRECT_FROM": "CORRECT_THRESHOLD",
    "Ledger": "OutcomeCounts",
    "NEVER_SENT": "ENGINE_PARAMS",
    "QUALITY_TIERS": "QUALITY_LEVELS",
    "USUAL_AGREEMENT": "TRUSTED_AGREEMENT",
    "WELL_KNOWN": "KNOWN_PARAMS",
    "declared_tier": "declared_quality",
    "own_task": "task_from_data_file",
    "reading_of": "reply_turns_of",
    "replayed_judge": "judge_from_log",
    "takes_files": "reads_files",
}
"""Old names, which 0.4 removes."""

__all__ = [
    "COMPILED",
    "CORRECT_THRESHOLD",
    "ENGINE_PARAMS",
    "KINDS",
    "KNOWN_PARAMS",
    "QUALITY_LEVELS",
    "RUN_STATUSES",
    "TRUSTED_AGREEMENT",
    "Answers",
    "BrokenRow",
    "CacheShare",
    "Catalog",
    "Component",
    "ComponentError",
    "ConnectionLimits",
    "DataColumns",
    "DataFolders",
    "DeclaredCommand",
    "DeclaredCommands",
    "Display",
    "EngineClient",
    "ExecutedRun",
    "Grade",
    "ImportedPart",
    "ImportedPerformance",
    "JudgedObjective",
    "Judging",
    "JunitCase",
    "LoadedSamples",
    "LogFacts",
    "MarksTable",
    "MeasuringOptions",
    "Objective",
    "OpenedRun",
    "Option",
    "OutcomeCounts",
    "Phase",
    "PluginFaults",
    "PluginInfo",
    "Plugins",
    "Progress",
    "PromptTable",
    "PullTable",
    "Recomputed",
    "Renderer",
    "Resolver",
    "RunCommand",
    "RunFolder",
    "RunInfo",
    "RunInput",
    "RunSpec",
    "SampleMaker",
    "SampleTable",
    "Selection",
    "ServiceClient",
    "StepError",
    "Steps",
    "Subtask",
    "Task",
    "TimedAnswer",
    "Use",
    "VisibleText",
    "answer_requests",
    "bind_options",
    "call_step",
    "component_owner",
    "connect_backend",
    "connection_limits",
    "declared_quality",
    "duplicate_command_error",
    "error_words",
    "evaluator_uses",
    "execute_run",
    "factory_options",
    "factory_summary",
    "find_removable_run",
    "grade_notes",
    "identity_differences",
    "inspect_log",
    "is_being_written",
    "is_contested",
    "is_data_file",
    "is_judged",
    "judge_from_log",
    "judge_objectives",
    "judge_of",
    "launcher_options",
    "load_samples",
    "locate_data",
    "make_component",
    "make_evaluators",
    "mask_secrets",
    "mask_url",
    "measure_performance",
    "missing_judge_error",
    "open_finished_run",
    "open_run",
    "other_extractors",
    "parse_goodput",
    "parse_objectives",
    "parse_run_objectives",
    "parse_tier",
    "plan_run",
    "prefix_cache_share",
    "preview_requests",
    "printable",
    "prompt_of",
    "read_answers",
    "read_grades",
    "read_progress",
    "read_run",
    "read_run_json",
    "read_toml",
    "read_user_file",
    "reads_files",
    "recompute_results",
    "reply_turns_of",
    "report_run",
    "report_several",
    "reporter_names",
    "reporter_table",
    "request_latency",
    "resolve_run",
    "rewrite_log",
    "run_configuration",
    "run_size",
    "safe_name",
    "score_predictions",
    "select_rows",
    "sends",
    "split_names",
    "started_at",
    "task_from_data_file",
    "task_version",
    "tasks_from_data_files",
    "to_junit",
    "usable_cores",
    "wait_for_service",
    "write_atomically",
    "write_imported",
    "write_run_notes",
]


def __getattr__(name: str) -> Any:
    """Import a public name. An old name warns."""
    from importlib import import_module

    if new := _RENAMED.get(name):
        import warnings

        warnings.warn(f"aisb_engine.{name} is now {new}; 0.4 removes it", DeprecationWarning, stacklevel=2)
        return __getattr__(new)
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
