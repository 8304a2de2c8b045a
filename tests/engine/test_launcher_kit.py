"""`check_launcher` passes launchers that keep the contract, and says what is wrong with others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aisb_engine._load.workers import LocalWorkers
from aisb_testing import check_launcher

CHECKS = ["work and end", "lose a worker", "stop a worker"]


def test_local_workers_keep_the_contract_of_launchers():
    assert check_launcher(LocalWorkers) == CHECKS


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_launcher_written_with_core_alone_keeps_it(installed, tmp_path, elsewhere):
    script = tmp_path / "check.py"
    script.write_text(
        "from aisb_test_launcher import Spawned\nfrom aisb_testing import check_launcher\n"
        f"if __name__ == '__main__':\n    print(check_launcher(Spawned, elsewhere={elsewhere}))\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stdout.strip() == str(CHECKS), ended.stderr


def remove(files):
    for file in files:
        file.unlink(missing_ok=True)


class Deaf(LocalWorkers):
    """Sends garbled messages, forgets the environment, and takes a lost worker for one that ended."""

    async def start(self, jobs):
        for job in jobs:
            job.environment = {"AISB_TRIAL": "nobody"}
        await super().start(jobs)

    async def send(self, message):
        await super().send({"start": 0})

    async def send_to(self, worker, message):
        await super().send_to(worker, {"for": 2})

    def _last_message(self, number, code, words):
        return {}

    async def collect(self):
        await super().collect()
        remove(file for job in self._jobs for file in job.writes)


def test_what_a_launcher_does_wrong_is_named():
    with pytest.raises(AssertionError) as raised:
        check_launcher(Deaf)
    message = str(raised.value)
    assert "work and end: worker 0 does not have the variables of its job's environment" in message
    assert "work and end: worker 1 received something other than what was sent to it" in message
    assert "work and end: worker 0 received something other than what was sent only to it" in message
    assert "work and end: worker 2: the file that it wrote is missing after collect()" in message
    assert (
        "lose a worker: watch() must yield {'lost': …} for a worker that ends before its job returns"
        in message
    )
