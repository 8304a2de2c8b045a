"""The example of a RayJob: its fields by a schema of our own, its pods by that of Kubernetes, its command by ours."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

MANIFEST = Path(__file__).parents[4] / "examples/kuberay/rayjob.yaml"
SCHEMA = Path(__file__).with_name("rayjob.schema.json")


@pytest.fixture
def job():
    return yaml.safe_load(MANIFEST.read_text())


def pods(job):
    cluster = job["spec"]["rayClusterSpec"]
    yield "head", cluster["headGroupSpec"]["template"]
    yield from ((group["groupName"], group["template"]) for group in cluster["workerGroupSpecs"])
    yield "submitter", job["spec"]["submitterPodTemplate"]


def test_the_job_has_no_field_that_is_misspelt(job):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator(schema).validate(job)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 4
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.Draft202012Validator(schema).validate(job)


def test_its_pods_are_pods_of_kubernetes(job):
    for name, template in pods(job):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **template}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        pod["spec"]["containers"][0]["volumeMount"] = []
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_every_pod_has_the_token_and_only_the_head_has_the_key(job):
    for name, template in pods(job):
        (container,) = template["spec"]["containers"]
        names = {one["name"] for one in container["env"]}
        assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= names
        assert ("SERVICE_KEY" in names) == (name == "head")


def test_its_command_is_one_of_aisb(job):
    program, command, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("aisb", "run")
    shown = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", "run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(word in shown for word in words if word.startswith("--"))
