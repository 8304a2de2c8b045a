"""Two runs that the tests of all formats share, with every format written once."""

import pytest
from every_family import aisb, run_of_every_family, run_of_published_tasks

FORMATS = "every-eval-ever,lm-eval,inspect"


@pytest.fixture(scope="session")
def families(tmp_path_factory):
    """A run of every family of tasks, and one of likelihoods."""
    home = tmp_path_factory.mktemp("families")
    folders = run_of_every_family(home)
    for folder in folders:
        aisb(home, "report", folder, "--reporters", FORMATS)
    return folders


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A run of installed tasks, and one of likelihoods of an installed task."""
    home = tmp_path_factory.mktemp("published")
    folders = run_of_published_tasks(home)
    for folder in folders:
        aisb(home, "report", folder, "--reporters", FORMATS)
    return folders
