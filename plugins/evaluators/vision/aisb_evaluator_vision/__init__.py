"""Grade answers on images: short texts by ANLS and VQA accuracy, boxes by intersection over union."""

from __future__ import annotations

from collections.abc import Mapping

from aisb import hookimpl


@hookimpl
def aisb_evaluators() -> Mapping[str, str]:
    """Declare the evaluators of answers on images."""
    return {
        "anls": "aisb_evaluator_vision._anls:ANLS",
        "box-iou": "aisb_evaluator_vision._boxes:BoxIoU",
        "ocrbench-v2": "aisb_evaluator_vision._ocrbench:OCRBenchV2",
        "omnidocbench": "aisb_evaluator_vision._omnidocbench:OmniDocBench",
        "vqa-accuracy": "aisb_evaluator_vision._vqa:VQAAccuracy",
    }


@hookimpl
def aisb_postprocessors() -> Mapping[str, str]:
    """Declare the postprocessor that finds a box."""
    return {"box": "aisb_evaluator_vision._boxes:parse_box"}
