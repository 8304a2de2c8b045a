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
    "vllm-offline": "aisb-backend-vllm-offline",
    "vllm-offline-base": "aisb-backend-vllm-offline",
    # datasets
    "agieval-rows": "aisb-dataset-exams",
    "race-articles": "aisb-dataset-exams",
    "jsonl-labels": "aisb-dataset-commonsense",
    "truthfulqa-rows": "aisb-dataset-commonsense",
    "bbh": "aisb-dataset-reasoning",
    "bfcl": "aisb-dataset-tools",
    "drop-rows": "aisb-dataset-reading",
    "fewclue": "aisb-dataset-clue",
    "key-values": "aisb-dataset-long",
    "leval": "aisb-dataset-long",
    "line-pairs": "aisb-dataset-reading",
    "longbench": "aisb-dataset-long",
    "needle": "aisb-dataset-long",
    "squad-json": "aisb-dataset-reading",
    "trivia-tsv": "aisb-dataset-reading",
    "synthetic": "aisb-dataset-synthetic",
    "sharegpt": "aisb-dataset-chat",
    "azure-trace": "aisb-dataset-traces",
    "mooncake-trace": "aisb-dataset-traces",
    # evaluators, and the postprocessors that come with them
    "choice-match": "aisb-evaluator-text",
    "exact-match": "aisb-evaluator-text",
    "numeric-match": "aisb-evaluator-text",
    "perplexity": "aisb-evaluator-text",
    "exam-answer": "aisb-dataset-exams",
    "exam-match": "aisb-dataset-exams",
    "probability-share": "aisb-dataset-commonsense",
    "answer-line": "aisb-evaluator-text",
    "boxed": "aisb-evaluator-text",
    "choice": "aisb-evaluator-text",
    "last-number": "aisb-evaluator-text",
    "number": "aisb-evaluator-text",
    "math-answer": "aisb-evaluator-math",
    "math-verify": "aisb-evaluator-math",
    "bleu": "aisb-evaluator-overlap",
    "edit-similarity": "aisb-evaluator-overlap",
    "rouge": "aisb-evaluator-overlap",
    "token-f1": "aisb-evaluator-overlap",
    "call-match": "aisb-evaluator-calls",
    "bbh-answer": "aisb-dataset-reasoning",
    "bbh-match": "aisb-dataset-reasoning",
    "next-word": "aisb-dataset-reading",
    "short-answer": "aisb-dataset-reading",
    "leval-score": "aisb-dataset-long",
    "longbench-score": "aisb-dataset-long",
    "needle-recall": "aisb-dataset-long",
    "code": "aisb-evaluator-code",
    "code-run": "aisb-evaluator-code",
    "humanevalx": "aisb-dataset-code",
    "livecodebench": "aisb-dataset-code",
    "mbpp": "aisb-dataset-code",
    "instructions": "aisb-evaluator-instruct",
    "judge": "aisb-evaluator-judge",
    # reporters
    "csv": "aisb-reporter-summary",
    "json": "aisb-reporter-summary",
    "junit": "aisb-reporter-summary",
    "markdown": "aisb-reporter-summary",
    "text": "aisb-reporter-summary",
    "html": "aisb-reporter-html",
    "plots": "aisb-reporter-plots",
    "performance": "aisb-reporter-performance",
}
"""Component name to distribution, for the components that this project makes."""

FAMILIES: dict[str, str] = {
    # models
    "hf": "aisb-backend-hf",
    "mindie": "aisb-backend-mindie",
    "tgi": "aisb-backend-tgi",
    "triton": "aisb-backend-triton",
    "vllm_api": "aisb-backend-vllm",
    "vllm_offline": "aisb-backend-vllm-offline",
    # tasks
    "cmath": "aisb-dataset-math",
    "demo_gsm8k": "aisb-dataset-math",
    "gsm8k": "aisb-dataset-math",
    "mgsm": "aisb-dataset-math",
    "aime2024": "aisb-dataset-competition",
    "aime2025": "aisb-dataset-competition",
    "aime2026": "aisb-dataset-competition",
    "dapo_math": "aisb-dataset-competition",
    "math": "aisb-dataset-competition",
    "math500": "aisb-dataset-competition",
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
    "demo_ppl": "aisb-dataset-reading",
    "lambada": "aisb-dataset-reading",
    "lcsts": "aisb-dataset-reading",
    "nq": "aisb-dataset-reading",
    "squad": "aisb-dataset-reading",
    "triviaqa": "aisb-dataset-reading",
    "xsum": "aisb-dataset-reading",
    "bbh": "aisb-dataset-reasoning",
    "fewclue": "aisb-dataset-clue",
    "leval": "aisb-dataset-long",
    "longbench": "aisb-dataset-long",
    "longbenchv2": "aisb-dataset-long",
    "lost_in_the_middle": "aisb-dataset-long",
    "needle": "aisb-dataset-long",
    "needlebench": "aisb-dataset-long",
    "bfcl": "aisb-dataset-tools",
    "boolq": "aisb-dataset-commonsense",
    "superglue_boolq": "aisb-dataset-commonsense",
    "hellaswag": "aisb-dataset-commonsense",
    "piqa": "aisb-dataset-commonsense",
    "siqa": "aisb-dataset-commonsense",
    "truthfulqa": "aisb-dataset-commonsense",
    "winogrande": "aisb-dataset-commonsense",
    "ifbench": "aisb-dataset-instruct",
    "ifeval": "aisb-dataset-instruct",
    "mtbench": "aisb-dataset-chat",
    "sharegpt": "aisb-dataset-chat",
    "synthetic": "aisb-dataset-synthetic",
    "azure_trace": "aisb-dataset-traces",
    "mooncake": "aisb-dataset-traces",
}
"""The first word of a model's or a task's name to the distribution of its family."""


def install_line(name: str) -> str | None:
    """Return `pip install …` for a component or task that one of this project's distributions brings."""
    distribution = DISTRIBUTIONS.get(name)
    if distribution is None:
        word = name.lower().replace("-", "_")
        family = max((f for f in FAMILIES if word == f or word.startswith(f + "_")), key=len, default=None)
        distribution = FAMILIES[family] if family else None
    return f"pip install {distribution}" if distribution else None


_LATER = """
BFCL_gen_all BFCL_gen_ids BFCL_gen_multi_turn BFCL_gen_multi_turn_base
BFCL_gen_multi_turn_long_context BFCL_gen_multi_turn_miss_func BFCL_gen_multi_turn_miss_param
aa_lcr_llmjudge aime2025_gen_0_shot_llmjudge docvqa_gen gedit_gen_0_shot_llmjudge geometry3k_gen
glm4v_textvqa_gen_base64 hle_llmjudge infovqa_gen mathvision_gen mmmu_gen mmmu_pro_options10_cot_gen
mmmu_pro_options10_gen mmmu_pro_vision_cot_gen mmmu_pro_vision_gen mmstar_gen mmstar_gen_cot
ocrbench_v2_gen_0_shot_chat omnidocbench_gen realworldqa_gen realworldqa_gen_base64 refcoco_gen
refcoco_gen_base64 refcoco_plus_gen refcoco_plus_gen_base64 refcocog_gen refcocog_gen_base64
textvqa_gen textvqa_gen_base64 videobench_gen videobench_gen_base64 videomme_gen vocalsound_gen
vocalsound_gen_base64
"""
NOT_OFFERED_YET = frozenset(_LATER.split())
"""Tasks that other tools have under these names, and that no family here brings so far."""
