"""The page of an audit: outputs in doubt first, with the text and every reading marked in it."""

import asyncio
import re

from aisb._plugins import Plugins
from aisb._types import Prediction, Sample
from aisb_analysis._audit import audit_subtask
from aisb_analysis._audit_page import to_page
from aisb_engine import Answers
from aisb_engine._record.predictions import LoggedSamples
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.layers import Resolver, RunInput

PLUGINS = Plugins.load()
RIGHT = "So the answer is 18."
CONTESTED = "\\boxed{18} & <b>that</b> is it.\n\nThe answer is 7."


def page_of(*texts):
    task = Resolver(PLUGINS, Catalog(PLUGINS), RunInput()).show("demo_gsm8k")
    samples = {str(at): Sample(str(at), {}, "18") for at in range(len(texts))}
    answers = Answers(
        LoggedSamples({}, []), samples, [Prediction(str(at), text=t) for at, t in enumerate(texts)]
    )
    found = asyncio.run(audit_subtask(task, answers, PLUGINS))
    return found, to_page(found, "demo_gsm8k · m").decode()


def test_what_another_reading_would_change_stands_first_with_both_readings():
    found, page = page_of("It is 18 or 20", *[RIGHT] * 8, CONTESTED)
    assert found.contested == 1
    assert found.entries[0].id == "9"
    assert page.index("<h2>9:") < page.index("<h2>0:")
    assert '<mark class="own">7</mark>' in page
    assert '<mark class="other">18</mark>' in page


def test_a_page_shows_outputs_as_text_and_loads_nothing():
    _, page = page_of(*[RIGHT] * 8, CONTESTED)
    assert "&lt;b&gt;that&lt;/b&gt;" in page
    assert "<b>" not in page
    assert not re.search(r"(?:src|href)=", page)
