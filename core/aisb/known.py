"""Which distribution brings a name that is not installed, so that the answer can be its install line."""

from __future__ import annotations

DISTRIBUTIONS: dict[str, str] = {
    # backends
    "openai-chat": "aisb-backend-openai",
    "openai-completions": "aisb-backend-openai",
    "vllm-chat": "aisb-backend-vllm",
    "vllm-completions": "aisb-backend-vllm",
    "vllm-generate": "aisb-backend-vllm",
    "sim": "aisb-backend-sim",
    "sim-text": "aisb-backend-sim",
    "tgi": "aisb-backend-tgi",
    "tgi-stream": "aisb-backend-tgi",
    "triton": "aisb-backend-triton",
    "triton-stream": "aisb-backend-triton",
    "mindie": "aisb-backend-mindie",
    "mindie-stream": "aisb-backend-mindie",
    "hf-base": "aisb-backend-hf",
    "hf-chat": "aisb-backend-hf",
    "vllm-offline": "aisb-backend-hf",
    # datasets
    "agieval-rows": "aisb-dataset-exams",
    "race-articles": "aisb-dataset-exams",
    "jsonl-labels": "aisb-dataset-commonsense",
    "truthfulqa-rows": "aisb-dataset-commonsense",
    "synthetic": "aisb-dataset-synthetic",
    "sharegpt": "aisb-dataset-chat",
    "azure-trace": "aisb-dataset-traces",
    "mooncake-trace": "aisb-dataset-traces",
    # evaluators, and the postprocessors that come with them
    "choice-match": "aisb-evaluator-text",
    "exact-match": "aisb-evaluator-text",
    "numeric-match": "aisb-evaluator-text",
    "exam-answer": "aisb-dataset-exams",
    "exam-match": "aisb-dataset-exams",
    "probability-share": "aisb-dataset-commonsense",
    "answer-line": "aisb-evaluator-text",
    "boxed": "aisb-evaluator-text",
    "choice": "aisb-evaluator-text",
    "last-number": "aisb-evaluator-text",
    "number": "aisb-evaluator-text",
    "math-verify": "aisb-evaluator-math",
    "code-run": "aisb-evaluator-code",
    "judge": "aisb-evaluator-judge",
    # reporters
    "csv": "aisb-reporter-summary",
    "markdown": "aisb-reporter-summary",
    "text": "aisb-reporter-summary",
    "html": "aisb-reporter-html",
}
"""Component name to distribution, for the components that this project makes."""

FAMILIES: dict[str, str] = {
    "aime": "aisb-dataset-math",
    "demo_gsm8k": "aisb-dataset-math",
    "gsm8k": "aisb-dataset-math",
    "math": "aisb-dataset-math",
    "agieval": "aisb-dataset-exams",
    "arc": "aisb-dataset-exams",
    "ceval": "aisb-dataset-exams",
    "cmmlu": "aisb-dataset-exams",
    "gpqa": "aisb-dataset-exams",
    "mmlu": "aisb-dataset-exams",
    "race": "aisb-dataset-exams",
    "humaneval": "aisb-dataset-code",
    "humanevalx": "aisb-dataset-code",
    "livecodebench": "aisb-dataset-code",
    "mbpp": "aisb-dataset-code",
    "drop": "aisb-dataset-reading",
    "lambada": "aisb-dataset-reading",
    "triviaqa": "aisb-dataset-reading",
    "boolq": "aisb-dataset-commonsense",
    "superglue_boolq": "aisb-dataset-commonsense",
    "hellaswag": "aisb-dataset-commonsense",
    "piqa": "aisb-dataset-commonsense",
    "siqa": "aisb-dataset-commonsense",
    "truthfulqa": "aisb-dataset-commonsense",
    "winogrande": "aisb-dataset-commonsense",
    "ifeval": "aisb-dataset-instruct",
    "mtbench": "aisb-dataset-chat",
    "sharegpt": "aisb-dataset-chat",
    "synthetic": "aisb-dataset-synthetic",
    "azure_trace": "aisb-dataset-traces",
    "mooncake": "aisb-dataset-traces",
}
"""The first word of a task's name to the distribution of its family."""


def install_line(name: str) -> str | None:
    """Return `pip install …` for a component or task that one of this project's distributions brings."""
    distribution = DISTRIBUTIONS.get(name)
    if distribution is None:
        word = name.lower().replace("-", "_")
        family = max((f for f in FAMILIES if word == f or word.startswith(f + "_")), key=len, default=None)
        distribution = FAMILIES[family] if family else None
    return f"pip install {distribution}" if distribution else None
