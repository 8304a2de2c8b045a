"""Files of runs whose keys had other names open with the current ones."""

import json
from pathlib import Path

import pytest

from aisb_engine import RunFolder, open_finished_run, read_run, read_run_json
from aisb_engine._record.loadfiles import read_load_files

STORED = Path(__file__).parents[1] / "runs"
ACCURACY, PERFORMANCE = STORED / "accuracy/20261129_211322", STORED / "performance/20261129_211323"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "log/m/t/load.json",
            {
                "asked": {"concurrency": 4, "cache_share_least": 0.1},
                "counters": {"during": {"running": {"looks": 2, "sum": 6, "most": 4}}},
                "lost_workers": [{"worker": 1, "asked_again": 3, "not_asked": 0}],
            },
            {
                "requested": {"concurrency": 4, "min_cache_share": 0.1},
                "counters": {"during": {"running": {"samples": 2, "sum": 6, "maximum": 4}}},
                "lost_workers": [{"worker": 1, "resent": 3, "lost": 0}],
            },
        ),
        (
            "configs/manifest.json",
            {"sessions": [{"begun": True}], "tasks": {"t": {"not_asked": "its dataset raised"}}},
            {"sessions": [{"started_sending": True}], "tasks": {"t": {"skip_reason": "its dataset raised"}}},
        ),
        *(
            (
                f"results/{folder}m/t.json",
                {"asked": 4, "not_asked_yet": 2, "unmade": 1, "judge": {"asked_before": 3}},
                {"predictions": 4, "not_sent": 2, "broken_samples": 1, "judge": {"answered_in_log": 3}},
            )
            for folder in ("", "passes/20261129_211322/")
        ),
        (
            "performances/m/t_details.json",
            {
                "asked": {"concurrency": 4},
                "vitals": None,
                "counters": {"gained": {"hits": 1.0}, "waiting": {"looks": 2, "average": 3.0, "most": 4}},
                "certificate": {"signals": [{"name": "held back"}, {"name": "lateness"}]},
            },
            {
                "requested": {"concurrency": 4},
                "client_health": None,
                "counters": {
                    "increases": {"hits": 1.0},
                    "waiting": {"samples": 2, "average": 3.0, "maximum": 4},
                },
                "certificate": {"signals": [{"name": "buffered streams"}, {"name": "lateness"}]},
            },
        ),
        ("log/m/t/load.json", {"counters": None, "lost_workers": 3}, {"counters": None, "lost_workers": 3}),
        ("log/m/t/identity.json", {"asked": 1}, {"asked": 1}),
    ],
)
def test_a_file_is_read_with_the_current_names_of_its_keys(tmp_path, name, old, new):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(old))
    assert read_run_json(path) == new
    path.write_text(json.dumps(new))
    assert read_run_json(path) == new


def test_a_stored_accuracy_run_has_its_counts():
    assert '"asked"' in (ACCURACY / "results/small/sums.json").read_text()
    found = {result.task: result for result in open_finished_run(ACCURACY).results}
    assert (found["sums"].predictions, found["sums"].not_sent) == (24, 0)


def test_a_stored_performance_run_has_its_load_and_the_health_of_its_client():
    load = read_load_files(RunFolder(PERFORMANCE), "small", "sums")
    assert load.concurrency == 4
    assert load.client_health is not None
    assert load.client_health.seconds == sum(
        len(file.read_text().splitlines()) for file in PERFORMANCE.glob("log/small/sums/vitals-*.jsonl")
    )


def test_a_stored_performance_run_is_listed_with_its_requested_load():
    assert read_run(RunFolder(PERFORMANCE)).figures["small", "sums"]["requested"]["in_flight"] == 4
