"""A run as JSON, held to its schema, and as JUnit XML: from real runs of the simulator, and from hostile ones."""

import json
import sys
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from forked import run_forked
from jsonschema import Draft202012Validator

from aisb import Score
from aisb_engine import open_finished_run
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._record.scores import write_scores
from aisb_reporter_summary import Json, Junit

SCHEMA = json.loads(files("aisb_reporter_summary").joinpath("summary.schema.json").read_text("utf-8"))
HOSTILE = "</failure>]]> & \x00\x0b\ud7ff\ufffe <b>\u2028\"'"


def aisb(*words, cwd):
    command = [sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "demo_gsm8k"]
    ended = run_forked([*command, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (folder,) = cwd.glob("outputs/default/*")
    return open_finished_run(folder)


@pytest.fixture(scope="module")
def accuracy(tmp_path_factory):
    return aisb("--num-prompts", 20, cwd=tmp_path_factory.mktemp("accuracy"))


@pytest.fixture(scope="module")
def performance(tmp_path_factory):
    more = ("--mode", "perf", "--num-prompts", 20, "--set", "model.ttft_ms=5", "--set", "model.tpot_ms=1")
    return aisb(*more, cwd=tmp_path_factory.mktemp("performance"))


def table(run, **options):
    (file,) = Json(**options).report(run)
    assert file.name == f"summary_{run.timestamp}.json"
    found = json.loads(file.read_text("utf-8"))
    Draft202012Validator(SCHEMA).validate(found)
    return found


def test_the_schema_is_a_schema_and_names_its_version():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == "aisb-summary/2"


def test_a_run_of_accuracy_keeps_to_the_schema(accuracy):
    found = table(accuracy)
    (result,) = found["results"]
    assert sum(result["outcomes"].values()) == result["predictions"] == 20
    assert found["tasks"]["demo_gsm8k"]["version"] == result["version"]
    assert len(found["tasks"]["demo_gsm8k"]["data_sha256"]) == 64
    assert (found["performance"], found["unscored"]) == ([], [])


def test_verdicts_are_there_when_asked_for(accuracy):
    found = table(accuracy, samples=True)
    right = sum(sample["outcome"] == "correct" for sample in found["samples"])
    assert right == found["results"][0]["outcomes"]["correct"]
    assert len(found["samples"]) == 20


def test_a_run_of_load_keeps_to_the_schema(performance):
    found = table(performance)
    (speed,) = found["performance"]
    assert speed["stages"]["total"]["common"]["requests"] == 20
    assert set(speed["stages"]["total"]["parameters"]["E2EL"]["percentiles"]) == {"75", "90", "95", "99"}
    assert speed["certificate"]["verdict"] in {"SUSPECT", "INVALID"}  # twenty are too few for P99
    assert found["warnings"][0].startswith("warning: demo_gsm8k · sim: ")


def test_what_keeps_not_to_the_schema_is_found(accuracy):
    found = table(accuracy)
    del found["results"][0]["outcomes"]
    assert [error.validator for error in Draft202012Validator(SCHEMA).iter_errors(found)] == ["required"]


def junit(run, **options):
    (file,) = Junit(**options).report(run)
    return ET.parse(file).getroot()


def test_each_answer_is_a_test_and_what_is_not_right_a_failure(accuracy):
    (suite,) = junit(accuracy)
    outcomes = accuracy.results[0].outcomes
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        "20",
        str(outcomes["wrong"]),
        "0",
    )
    failed = [case for case in suite if len(case)]
    assert failed[0].get("classname") == "sim.demo_gsm8k"
    assert failed[0][0].get("type") == "wrong"
    assert failed[0][0].get("message").startswith("wrong: answer ")


def test_a_score_that_is_asked_for_is_one_test(accuracy):
    (suite,) = junit(accuracy, least=100.0)
    (case,) = suite
    assert case.get("name") == "accuracy >= 100"
    assert case[0].get("message").endswith(", less than 100")
    assert [len(case.findall("failure")) for case in junit(accuracy, least=1.0)[0]] == [0]


def test_a_run_of_load_is_a_test_of_its_certificate(performance):
    (suite,) = junit(performance)
    assert [case.get("name") for case in suite] == ["certificate"]
    assert suite.get("tests") == "1"


def test_hostile_texts_make_whole_xml(accuracy):
    folder = RunFolder(accuracy.folder)
    file = folder.scores("sim", "demo_gsm8k")
    kept = file.read_bytes()
    graded = Score(0.0, "wrong", HOSTILE, 0, "numeric-match", HOSTILE * 1000, HOSTILE)
    failed = Score(0.0, "error", "9", 1, "numeric-match", details={"failure": HOSTILE})
    write_scores(folder, "sim", "demo_gsm8k", {"numeric-match": [graded, failed]})
    (suite,) = junit(accuracy)
    file.write_bytes(kept)
    assert (suite.get("failures"), suite.get("errors")) == ("1", "1")
    assert suite[0].get("name").startswith("</failure>]]> & \ufffd\ufffd")
    assert suite[0][0].text.endswith("characters)")
    assert suite[1].get("name") == "9.r1"
