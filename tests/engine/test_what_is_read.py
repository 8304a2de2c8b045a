"""What of a reply is read: reasoning, tokens that end a turn, and what a model writes after its answer."""

import time
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest

from aisb import ConfigError
from aisb._plugins import Plugins
from aisb._types import Prediction, Sample
from aisb_engine._replies.marks import known_marks
from aisb_engine._replies.patterns import first_characters, is_at_start
from aisb_engine._replies.thoughts import VisibleText
from aisb_engine._replies.turns import ReplyTurns
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._resolve.params import fit_params
from aisb_engine._scoring.evaluators import make_evaluators
from aisb_engine._scoring.grading import outcome
from aisb_engine._scoring.scoring import score
from aisb_engine._scoring.second_readings import Dispute, disputed
from aisb_engine._scoring.steps import Steps, reads_tool_calls, reply_turns_of
from aisb_engine._spec import MarksTable, ThoughtMarks

HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


def task_of(plugins, name, **changes):
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
    return task.model_copy(update=changes)


@pytest.fixture(scope="module")
def steps(plugins):
    made = {}

    def steps_of(name):
        if name not in made:
            task = task_of(plugins, name)
            made[name] = Steps.make(task.postprocess, plugins, reading=reply_turns_of(task, plugins))
        return made[name]

    return steps_of


# Reasoning


@pytest.mark.parametrize(
    "raw",
    [
        HARMONY.format("is it 9?", "18"),
        "<|channel|>commentary to=functions.f<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>18",
        "<|channel|>final<|message|>18",
        "analysisIs it 9? Let me see.assistantfinal18",
        "analysis用户问 9 吗？assistantfinal18",
        "[THINK]the answer is 9[/THINK]18",
        "<thought>9</thought>\n\n18",
        "<thinking>9</thinking>18",
        "<Thinking>9</THINKING>18",
        "<seed:think>9</seed:think>18",
        "<mm:think>9</mm:think>\n18",
        "<longcat_think>9</longcat_think>18",
        "<think_fast>9</think_fast>18",
        "<think >9</think >18",
        '<think duration="3">9</think>18',
        "◁think▷答案是9◁/think▷18",
        "<reasoning>9</reasoning>18",
        "<|begin_of_thought|>9<|end_of_thought|>\n<|begin_of_solution|>18<|end_of_solution|>",
        "<|START_THINKING|>9<|END_THINKING|><|START_RESPONSE|>18<|END_RESPONSE|>",
        "<|channel>thought\n9<channel|>18",
        "<unused94>thought\n9<unused95>18",
        "[unused16]9[unused17]18",
        "9 and on</think>18",
        "Here are my reasoning steps:\nis it 9?\n[BEGIN FINAL RESPONSE]\n18\n[END FINAL RESPONSE]",
        "Here is my thought process:\n9?\nHere is my response:\n18",
        "<|THINK_START|>9<|THINK_END|>18",
        "<|im_start|>assistant\n<think>9</think>\n18<|im_end|>",
        "<think>9</think>18</s></s>",
        "<think>I close it with `</think>` and say 9</think>18",
    ],
)
def test_reasoning_is_recognised_under_the_marks_of_many_models(raw):
    assert ReplyTurns().visible(raw).text.strip() == "18"


@pytest.mark.parametrize(
    "opening",
    [
        "<think>", "<thought>", "[THINK]", "◁think▷", "<seed:think>", "<|begin_of_thought|>", "<unused94>", "[unused16]",
        "<|channel|>analysis<|message|>", "<|channel>thought\n", "<|START_THINKING|>", "analysis", "<reasoning>",
    ],
)  # fmt: skip
def test_reasoning_that_was_cut_off_is_never_credited(steps, opening):
    raw = f"{opening}We add. The answer is 18."
    for finish, ended in (("length", "truncated"), ("stop", "unparsed")):
        found = steps("demo_gsm8k").read(raw, Sample("0", {}, "18"), cut_off=finish == "length")
        assert found.answer is None
        assert (
            outcome(found.with_read_text(Prediction("0", text=raw, finish_reason=finish)), None, 0) == ended
        )


@pytest.mark.parametrize(
    "text",
    [
        "Use the <reasoning> tag, then answer. B",
        "The <think> tag opens a thought, and the answer is B.",
        "Models write <think> and </think> around it: B",
        "`<think>x</think>` is a block. B",
        'It prints "<think>" first. B',
        "请使用<think>标签。答案是B",
        "```xml\n<think>not mine</think>\n```\nB",
        "<response>\n<reasoning>since 9</reasoning>\n<answer>B</answer>\n</response>",
        "Write <thought>your idea</thought> in one line. B",
        "def strip(x):\n    return x.split('</think>')[-1]",
        "```python\ndef f(x):\n    # </think> ends a thought\n    return x\n```",
        "The tag </s> strikes a text through: B",
        "Behind the <|im_end|> token nothing is read: B",
        "<thinking about it> B",
        "We don't print '<think>' here. B",
        "„<think>“ heißt die Marke. B",
        "analysis of the data shows B",
        "Analysis: B",
        "2 < 3 and [THINKING] is a word: B",
        "Here is my thought process: since 9, it is B.",
        "  B  ",
    ],
)
def test_a_text_that_only_mentions_such_a_mark_keeps_all_of_it(text):
    assert ReplyTurns().visible(text).text == text


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("Let me see<think>9*2</think>18", "Let me see\n18"),
        ("1<think>x</think>8", "1\n8"),
        ("a \n<thought>x</thought>\n\nb", "a\nb"),
        ("<think>x</think>\n\nAlpha one.\n\nBeta two.", "Alpha one.\n\nBeta two."),
        ("<think>x</think>\n    return x\n    y", "    return x\n    y"),
        ("\n\nAlpha", "\n\nAlpha"),
        # What is quoted beside a mark does not quote the mark.
        ("<think>`9`</think>`18`", "`18`"),
        ('<think>"9"</think>"18"', '"18"'),
        ("<think>“9”</think>“18”", "“18”"),
        ("<think>```\n9\n```</think>```\n18\n```", "```\n18\n```"),
        ("analysis Let me try.```\n9\n```assistantfinal```\n18\n```", "```\n18\n```"),
        ("Try:\n```python\n9\n```</think>```python\n18\n```", "```python\n18\n```"),
    ],
)
def test_pieces_are_joined_by_a_line_end_and_lose_white_space_only_where_a_thought_was(raw, seen):
    assert VisibleText.of(raw).text == seen


def test_a_model_adds_marks_of_its_own():
    own = MarksTable(thoughts=[ThoughtMarks(open="<plan>", close="</plan>")])
    assert VisibleText.of("<plan>9</plan>18").text != "18"
    assert VisibleText.of("<plan>9</plan>18", known_marks(own=own)).text == "18"


def test_a_plugin_adds_marks_with_a_file_beside_its_tasks(tmp_path):
    (tmp_path / "marks.toml").write_text(
        '[[thoughts]]\nopen = "{{"\nclose = "}}"\n[ends]\nmarks = ["<fin>"]\n'
    )
    plugins = SimpleNamespace(infos=[SimpleNamespace(configs=(tmp_path,))])
    assert ReplyTurns(known_marks(plugins)).visible("{{9}}18<fin>7").text == "18"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[thoughts]]\nopen = "("\nclose = ")"\npattern = true', "not a regular expression"),
        ('[[thoughts]]\nopen = "a"', "is not a table of marks"),
        ("[[thoughts", "is not a table of marks"),
    ],
)
def test_a_broken_table_of_marks_is_named(tmp_path, text, message):
    (tmp_path / "marks.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        known_marks(SimpleNamespace(infos=[SimpleNamespace(configs=(tmp_path,))]))


def test_a_broken_mark_of_a_model_is_an_error_before_anything_is_asked(plugins):
    broken = {"models": {"p": {"backend": "sim", "marks": {"begins": [{"mark": "(", "pattern": True}]}}}}
    with pytest.raises(ConfigError, match=r"models\.p\.marks\.begins\[0\].* not a regular expression"):
        resolve(plugins, RunInput(models=["p"], datasets=["demo_gsm8k"], tables=broken))


@pytest.mark.parametrize(
    "unit", ["<think>", "a <reasoning> ", "</reasoning>", "```\n<think>", "<a>", "`<think>`", "a <thought>x</thought> b", "\n```</think>```"]
)  # fmt: skip
def test_marks_are_found_in_time_that_grows_with_the_text(unit):
    def seconds(text):
        start = time.process_time()
        VisibleText.of(text)
        return time.process_time() - start

    short, long = unit * (8_000 // len(unit)), unit * (64_000 // len(unit))
    assert any(seconds(long) < 24 * max(seconds(short), 0.005) for _ in range(4))


# What a model writes after its answer

OPTIONS = ("Rome", "Paris", "Oslo", "Bern")
RUNS_ON = [
    "\n\nQuestion: What is the capital of Peru?\nA. Lima\nB. Cusco\nAnswer: A",
    "\nQ: Who?\nA: The answer is D.",
    "\n\nUser: And of Norway?\nAssistant: The answer is C.",
    "\nHuman: next\n\nAssistant: C",
    "\n\n### Instruction:\nName one.\n\n### Response:\nThe answer is C.",
    "\n\n## Question 2\nThe answer is C.",
    "\n**Question:** next?\n**Answer:** C",
    "\n\n问题：下一题\n答案：C",
    "\n题目：下一题\n答案是C",
    "\n\nPregunta: ¿otra?\nThe answer is C.",
    "\n\nFrage: noch eine?\nAnswer: C",
    "\nAssistant: The answer is C.",
    "</s>The answer is C.",
    "<|im_end|>\n<|im_start|>user\nnext<|im_end|>\n<|im_start|>assistant\nThe answer is C.",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nnext\nAnswer: C",
    "<end_of_turn>\n<start_of_turn>model\nThe answer is C.",
    " [INST] next [/INST] The answer is C.",
    "<|endoftext|>Answer: C",
]


@pytest.mark.parametrize("after", RUNS_ON)
@pytest.mark.parametrize("task", ["mmlu", "agieval", "longbench_v2"])
def test_a_choice_is_read_before_the_model_goes_on(steps, task, after):
    sample = Sample("0", {"question": "What is the capital of France?"}, "B", OPTIONS)
    raw = f"The answer is B.{after}"
    found = steps(task).extract(raw, sample)
    assert found.text.strip("().") == "B"
    assert raw[slice(*found.span)].strip("().") == "B"


@pytest.mark.parametrize(
    "after", [text for text in RUNS_ON if "答" not in text and "\nAssistant: The" not in text]
)
@pytest.mark.parametrize(
    ("task", "answer", "text"),
    [
        ("demo_gsm8k", "So she has 18 left.", "18"),
        ("demo_gsm8k", "18", "18"),
        ("math500", "Thus \\boxed{18}.", "18"),
        ("nq", "A: The answer is Paris.", "Paris"),
        ("triviaqa", "Paris", "Paris"),
        ("squad", "in Paris", "in Paris"),
        ("bbh", "So the answer is yes.", "yes"),
    ],
)
def test_a_short_answer_is_read_before_the_model_goes_on(steps, task, answer, text, after):
    found = steps(task).extract(
        answer + after, Sample("0", {"question": "Where did it begin, in the end?"}, text)
    )
    assert found.text == text


def test_the_tasks_own_next_example_ends_an_answer(plugins, steps):
    head = (
        "Answer the question, your answer should be as simple as possible, start your answer with the prompt"
    )
    raw = f"A: The answer is Paris.\n{head} 'The answer is '.\nwho wrote it\nA: The answer is Rome."
    assert steps("nq").extract(raw, Sample("0", {}, "Paris")).text == "Paris"
    raw = "in Paris\n\nText: The Nile is long.\nWhere?\nAfrica"
    assert steps("squad").extract(raw, Sample("0", {}, "Paris")).text == "in Paris"
    # Where a prompt begins with the question itself, the next one shows by its options.
    raw = " B. Paris\n\nWhich river is longest?\nA. Nile\nB. Rhine\nC. Elbe\nD. Po\nAnswer: A"
    assert steps("mmlu:text").extract(raw, Sample("0", {}, "B", OPTIONS)).text == "B"


@pytest.mark.parametrize(
    ("task", "raw", "text"),
    [
        ("mmlu", "Question: What is the capital of France?\nA. Rome\nB. Paris\nAnswer: B", "B"),
        ("mmlu", "Let me say it again.\n\nQuestion: What is the capital of France?\n\nAnswer: B", "B"),
        (
            "mmlu",
            "Rome was long a capital.\n\nQuestion: What is the capital of France?\nThe answer is B.",
            "B",
        ),
        ("triviaqa", "I restate it.\nQ: What is the capital of France?\nA: The answer is Paris.", "Paris"),
        (
            "demo_gsm8k",
            "Question 1: how many in all? 16\nQuestion 2: how many left? 9\nThe answer is 18.",
            "18",
        ),
        ("demo_gsm8k", "There are 16.\n\nQuestion 1: eaten? 7\nQuestion 2: left? 9\n\n#### 18", "18"),
        ("demo_gsm8k", "<s>[INST] how many? [/INST] The answer is 18.</s>", "18"),
        ("demo_gsm8k", "<|im_start|>assistant\nThe answer is 18.", "18"),
        ("demo_gsm8k", "问题：What is the capital of France?\n答案：18", "18"),
        ("demo_gsm8k", "Problem: She has 16 eggs.\nQuestion: How many are left?\nAnswer: 18", "18"),
        ("demo_gsm8k", "There are 2 parts.\n\n### Response:\nShe has 18.", "18"),
        ("mmlu", "The user: asked for one. A is Rome, so\nThe answer is B.", "B"),
        ("mmlu", "HTML: <s>A</s> is struck out. The answer is B.", "B"),
    ],
)
def test_a_reply_that_says_the_question_again_is_read_to_its_end(steps, task, raw, text):
    sample = Sample(
        "0", {"question": "What is the capital of France?"}, text, OPTIONS if task == "mmlu" else ()
    )
    assert steps(task).extract(raw, sample).text == text


def test_whole_texts_are_cut_at_the_end_of_their_turn_alone(plugins, steps):
    raw = "Dear all,\n\nQuestion: why not?\nUser: me\n\nYours<|im_end|>\n<|im_start|>user"
    for task in ("ifeval", "needle"):
        assert steps(task).extract(raw, Sample("0", {}, "x")).text == raw.split("<|", maxsplit=1)[0]
        assert not reply_turns_of(task_of(plugins, task), plugins).finds_answer
    assert reply_turns_of(task_of(plugins, "mmlu"), plugins).finds_answer


# Outcomes of replies that were cut off, or decline in one line


@pytest.mark.parametrize(
    ("task", "raw", "finish", "ended"),
    [
        ("triviaqa", "I'm sorry, but I can't help with that.", "stop", "refused"),
        ("squad", "抱歉，我无法回答这个问题。", "stop", "refused"),
        ("bbh", "I refuse to answer.", "stop", "refused"),
        ("math500", "I cannot answer that.", "stop", "refused"),
        ("triviaqa", "The capital of France is a city which", "length", "truncated"),
        ("math500", "Thus the answer is \\boxed{18", "length", "truncated"),
        ("math500", "So it is 18, and the final answer is:\n\\[\n\\boxed", "length", "truncated"),
        ("demo_gsm8k", "9 * 2 = 18, so \\boxed{18", "length", "truncated"),
        ("mmlu", "The answer is \\boxed{\\text{B", "length", "truncated"),
        ("math500", "Hence \\boxed{\\frac{1}{2", "length", "truncated"),
        ("math500", "18. So \\boxed{1", "length", "truncated"),
        ("math500", "\\boxed{7} Let me check: \\boxed{1", "length", "wrong"),
        ("math500", "\\boxed{18} Let me check: \\boxed{1", "length", "correct"),
        ("triviaqa", "The answer is Rome.", "length", "wrong"),
        ("mmlu", "B", "length", "wrong"),
        ("triviaqa", "Rome\n\nQuestion: and then", "length", "wrong"),
        ("humaneval", "```python\ndef f(x):\n    return", "length", "truncated"),
        ("humaneval", "```python\ndef f(x):\n    return 1\n```\nIt works", "length", "wrong"),
    ],
)
def test_what_was_cut_off_or_declines_is_no_marked_answer(steps, task, raw, finish, ended):
    sample = Sample("0", {"entry_point": "f"}, "18", OPTIONS if task == "mmlu" else ())
    found = steps(task).read(raw, sample, cut_off=finish == "length")
    value = float(found.answer is not None and found.answer.text == "18")
    told = found.with_read_text(Prediction("0", text=raw, finish_reason=finish))
    assert outcome(told, found.answer, value) == ended


# Calls of functions


async def test_a_call_is_an_answer_only_where_tools_were_sent(plugins):
    task = task_of(plugins, "demo_gsm8k")
    call = {"name": "calc", "arguments": '{"x": 9}'}
    samples = {str(i): Sample(str(i), {}, "18") for i in range(2)}
    replies = [
        Prediction("0", text="The answer is 18.", tool_calls=(call,), finish_reason="tool_calls"),
        Prediction(
            "1", text="", tool_calls=({**call, "arguments": '{"x": 18}'},), finish_reason="tool_calls"
        ),
    ]
    (graded,) = (await score(task, samples, replies, plugins)).values()
    assert [(one.outcome, one.answer) for one in graded] == [("correct", "18"), ("unparsed", None)]
    assert not reads_tool_calls(task, plugins)
    assert reads_tool_calls(task.model_copy(update={"params": {"tools": [{"type": "function"}]}}), plugins)
    assert reads_tool_calls(task_of(plugins, "bfcl"), plugins)


# Stops


@pytest.mark.parametrize(("model", "stop"), [("sim", None), ("sim-text", ["\nQuestion:"])])
def test_a_stop_of_the_task_is_sent_to_completions_endpoints_alone(plugins, model, stop):
    spec = fit_params(resolve(plugins, RunInput(models=[model], datasets=["demo_gsm8k:text"])), plugins)
    assert spec.subtasks[0].merged.get("stop") == stop
    forced = RunInput(models=[model], datasets=["demo_gsm8k:text"], params={"stop": ["X"]})
    spec = fit_params(resolve(plugins, forced), plugins)
    assert spec.subtasks[0].merged["stop"] == ["X"]


# Second readings


def graded_replies(count, odd):
    """Return replies that mark their answer, of which `odd` ones say another one in a box before it."""
    replies = ["\\boxed{18}\n\nThe answer is 7." if at < odd else "The answer is 18." for at in range(count)]
    samples = {str(at): Sample(str(at), {}, "18") for at in range(count)}
    return samples, [Prediction(str(at), text=text, finish_reason="stop") for at, text in enumerate(replies)]


@pytest.mark.parametrize(
    ("odd", "more", "said"), [(0, 0, False), (1, 0, False), (9, 0, True), (9, 1_000_000, False)]
)
async def test_where_another_extractor_could_move_the_headline_is_said(plugins, odd, more, said):
    task = task_of(plugins, "demo_gsm8k")
    samples, predictions = graded_replies(400, odd)
    judges = make_evaluators(task, plugins)
    ((name, scores),) = (await score(task, samples, predictions, plugins, judges=judges)).items()
    steps = Steps.make(task.postprocess, plugins)
    # A text of more than a million characters is graded, but not read again by every extractor.
    predictions = [replace(one, text=one.text + " " * more) for one in predictions[:odd]] + predictions[odd:]
    found = await disputed(
        task,
        plugins,
        samples=samples,
        predictions=predictions,
        scores=scores,
        judge=judges[name],
        steps=steps,
    )
    assert (found is not None) is said
    if found:
        assert (found.by, found.up, found.down, found.read) == ("math-answer", odd, 0, 400)
        assert found.move == 100 * odd / 400


def test_an_extractor_is_given_up_early_exactly_where_it_could_not_become_usual():
    draw = Random(20261130)
    for _ in range(300):
        count, agreement, gap = draw.randint(1, 60), draw.random(), draw.random()
        tally, possible = Dispute("x"), []
        for at in range(count):
            possible.append(tally.can_be_usual(count - at))
            found = draw.random() > gap
            tally.found += found
            tally.same += found and draw.random() < agreement
        assert all(possible) or not tally.can_be_usual()
        assert sorted(possible, reverse=True) == possible
    never = [Dispute("x", found=at).can_be_usual(60 - at) for at in range(60)]
    assert never.index(False) == 16


PARTS = (
    "<think>", "</think>", "<thinking>", "<reasoning>", "<|channel|>", "analysis", "<|start|>assistant", " to=x", "final",
    "<|message|>", "<|end|>", "[THINK]", "[/THINK]", '<details type="reasoning">', "</details>", "assistantfinal", "word",
    " ", "\n", '"', "`", "◁think▷", "<|channel>", "thought", "<channel|>", "\nHere's my response:", "<|think|>", "<", "|>",
)  # fmt: skip


@pytest.mark.parametrize("own", [{}, {"open": "<a+>", "close": "a*", "pattern": True}])
def test_marks_that_are_looked_for_where_they_can_begin_are_those_of_a_whole_search(own):
    marks = known_marks(own=MarksTable(thoughts=[own]) if own else None)
    draw = Random(20261130)
    for _ in range(1500):
        text = "".join(draw.choices(PARTS, k=draw.randint(0, 14)))
        whole = [(match.span(), match.lastgroup) for match in marks.thought.finditer(text)]
        assert [(match.span(), match.lastgroup) for match in marks.find_thoughts(text)] == whole


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("<think>", "<think>"),
        (r"<\|end\|>", "<|end|>"),
        ("(?i:</details>)", "</"),
        ("<(?:a|b)>", "<"),
        ("<a[|]b", "<a"),
        ("<a|b>", ""),
        ("(?i:<a>|b)", ""),
        ("(?i:<a>)?b", ""),
        ("(?#<)<", ""),
        ("<?a", ""),
        (r"<\|{2}", "<"),
        (r"\d<", ""),
        ("(?x) <", ""),
    ],
)
def test_the_first_characters_of_a_pattern_are_those_of_all_its_matches(pattern: str, first: str):
    assert first_characters(pattern) == first


def test_a_pattern_with_alternatives_is_searched_in_the_whole_text():
    assert is_at_start(r"\Aanalysis(?:a|b)")
    assert not is_at_start(r"\Aanalysis|b")
    assert not is_at_start("analysis")
