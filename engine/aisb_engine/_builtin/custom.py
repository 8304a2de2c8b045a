"""Read user-provided data files: questions with or without options, and the lengths of their replies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from random import Random
from typing import Annotated, Any, Literal, NamedTuple

from aisb._data import DataFile, DataFiles
from aisb._errors import UsageError
from aisb._types import Row
from aisb_engine._builtin.characters import refuse_surrogates
from aisb_engine._builtin.own_rows import conversation, is_conversation, is_empty, listed, raw_rows

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CustomSampling = Literal["default", "shuffle", "random"]
AnswerKind = Literal["choice", "number", "text"]
AnswerForm = Literal["label", "index", "text"]

_NUMBER = re.compile(
    r"""\s*[-+−]?\s*[$€£¥￥]?\s*[-+−]?
    (?:
        (?:\d+\s+)?\d+/\d*[1-9]\d*                               # 1/2, 3 1/2
      | (?:\d{1,3}(?:,\d{2,3})+|\d+)(?:[.,]\d+)?(?:[eE][-+]?\d{1,3})?\.?  # 1,000  3.5  3,5  1e3  7.
      | \.\d+                                                    # .5
    )
    \s*[%％$€£¥]?\s*""",
    re.VERBOSE,
)


def custom(
    *,
    files: DataFiles,
    question: Annotated[
        str | Sequence[str],
        "column with the question, or with the turns of a conversation; texts of several are joined",
    ] = "question",
    answer: Annotated[str, "column with the reference answer"] = "answer",
    choices: Annotated[
        str | Sequence[str] | None,
        "column with the list of options, or a column for each; default: A, B, …, or `options`",
    ] = None,
    answer_is: Annotated[
        AnswerForm,
        "how answers name options: `index`: from 0; `text`; `label`: a letter, a number from 1, or the text",
    ] = "label",
    sampling: Annotated[
        CustomSampling, "`default`: in order; `shuffle`: in random order; `random`: drawn with replacement"
    ] = "default",
    request_count: Annotated[int | None, "number of rows: the first ones, or all of them repeatedly"] = None,
    output_range: Annotated[
        Sequence[int] | None, "[min, max]: a random max_tokens for each row without one"
    ] = None,
    output_shares: Annotated[
        Sequence[tuple[int, float]] | None, "[[max_tokens, share], …] for rows without one; the sum is 1"
    ] = None,
    seed: Annotated[int, "seed of all random choices"] = 0,
) -> Iterator[Row]:
    """Rows of your own .jsonl, .json, .csv or .parquet file.

    The columns A, B, … become the list `options`. `answer_kind` determines how a row's answer is graded:
    `choice`, `number` or `text`, or None for a row without an answer. A conversation becomes the fields
    `question`, `followups`, `replies`, `system` and, if it ends with the assistant's turn, `answer`.
    """
    if request_count is not None and request_count < 1:
        raise UsageError(f"request_count = {request_count} must be at least 1")
    lengths = _lengths(output_range, output_shares, seed)
    columns = _Columns(
        [question] if isinstance(question, str) else list(question),
        answer,
        [choices] if isinstance(choices, str) else list(choices or ()),
        answer_is,
    )
    rows: Iterable[Row] = _rows(files, columns)
    if sampling == "default" and lengths is None:
        return _counted(rows, request_count)
    return _sampled(list(rows), sampling, request_count, lengths, seed)


class _Columns(NamedTuple):
    """The columns of a file: of the question, of the answer, and of the options."""

    question: Sequence[str]
    answer: str
    choices: Sequence[str]
    answer_is: AnswerForm


def _rows(files: DataFiles, columns: _Columns) -> Iterator[Row]:
    for name in files.files:
        files.current = name
        for row in raw_rows(name, columns.question):
            refuse_surrogates(row, name.position)
            question_fields = _question(row, columns.question, name)
            filled = {key: value for key, value in row.items() if value != ""}
            options, labels = _options(row, columns.choices, name)
            fields: dict[str, Any] = {"max_tokens": None, **filled, "options": options}
            fields |= {"answer": row.get(columns.answer), **question_fields}
            fields["answer"] = None if is_empty(fields["answer"]) else _reference(fields["answer"])
            fields["answer_kind"] = answer_kind(fields["answer"], fields["options"])
            fields["gold"] = _gold(fields["answer"], fields["options"], labels, columns.answer_is)
            fields["option_lines"] = _option_lines(fields["options"])
            yield fields


def _question(row: Row, columns: Sequence[str], file: DataFile) -> dict[str, Any]:
    """Return the field `question`, or the fields of a conversation.

    Raises:
        DataError: the row has no text in the column.
    """
    first: Any = row.get(columns[0])
    if is_conversation(first):
        return conversation(first, file)
    if not isinstance(first, str):
        found = ", ".join(row) or "nothing"
        kind = f"one of type {type(first).__name__}" if columns[0] in row else found
        raise file.error(f"expected a row with a text `{columns[0]}`, found {kind}")
    more = [str(row[name]) for name in columns[1:] if not is_empty(row.get(name))]
    return {"question": "\n\n".join([first, *more])}


def _reference(answer: Any) -> Any:
    """Return a reference answer; if it is an object with the key `text`, the value of that key."""
    return answer["text"] if isinstance(answer, Mapping) and "text" in answer else answer


def answer_kind(answer: Any, options: Sequence[Any] | None) -> AnswerKind | None:
    """Return how an answer is graded: as a choice if there are options, else as a number or as text."""
    if answer is None:
        return None
    if options and len(options) > 1:
        return "choice"
    several = answer if isinstance(answer, list) else [answer]
    numbers = (not isinstance(one, bool) and _NUMBER.fullmatch(str(one)) for one in several)
    return "number" if all(numbers) else "text"


def _options(row: Row, columns: Sequence[str], file: DataFile) -> tuple[list[str] | None, list[str]]:
    """Return the options of a row, and their labels if the row has any of its own.

    They are in the given columns, else in the columns A, B and so on.

    Raises:
        DataError: a letter is missing between others, or the column has no list.
    """
    if len(columns) > 1:
        found = [str(row[name]) for name in columns if not is_empty(row.get(name))]
        return found or None, []
    column = columns[0] if columns else "options"
    value = row.get(column)
    if columns or isinstance(value, list | Mapping) or listed(value) is not None:
        return _listed_options(value, column, file)
    letters = [letter for letter in LETTERS if not is_empty(row.get(letter))]
    consecutive = list(LETTERS[: len(letters)])
    if letters != consecutive and len(letters) > 1 and (letters[0] == "A" or row.get("answer") in letters):
        missing = next(letter for letter in consecutive if letter not in letters)
        raise file.error(
            f"the options are {', '.join(letters)}, without {missing}: letters must be consecutive"
        )
    found = [str(row[letter]) for letter in letters] if letters == consecutive else []
    return found or None, []


def _listed_options(value: Any, column: str, file: DataFile) -> tuple[list[str] | None, list[str]]:
    """Return the options in a cell: a list, an object with the lists `text` and `label`, or texts by label.

    Raises:
        DataError: it is something else.
    """
    if is_empty(value):
        return None, []
    labels: list[Any] = []
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        value, labels = value["text"], value.get("label") or []
    elif isinstance(value, Mapping):
        value, labels = list(value.values()), list(value)
    options = listed(value)
    if options is None:
        raise file.error(f"the column {column} is {str(value)[:40]!r}, not a list of options")
    if options and all(isinstance(option, Mapping) and "text" in option for option in options):
        labels = [option.get("label") for option in options]
        options = [option["text"] for option in options]
    return [str(option) for option in options] or None, [str(label).strip() for label in labels]


def _gold(answer: Any, options: Any, labels: Sequence[str], form: AnswerForm) -> Any:
    """Return the reference answer; in a row with options its letter, if the answer names one of them."""
    if not isinstance(options, list) or len(options) < 2 or answer is None or isinstance(answer, list):
        return answer
    is_integer = isinstance(answer, float) and answer.is_integer()
    text = str(int(answer) if is_integer else answer).strip()
    if form == "index":
        return LETTERS[int(text)] if text.isdecimal() and int(text) < len(options) else answer
    if form == "label":
        label = text.strip("().").upper()
        if text in labels:
            return LETTERS[labels.index(text)]
        if label.isdecimal() and 1 <= int(label) <= len(options):
            return LETTERS[int(label) - 1]
        if len(label) == 1 and label in LETTERS[: len(options)]:
            return label
    same = [letter for letter, option in zip(LETTERS, options, strict=False) if str(option).strip() == text]
    return same[0] if len(same) == 1 else answer


def _option_lines(options: Any) -> str:
    """Return the options, one per line, for a prompt that rows without options share; empty without any."""
    if not isinstance(options, list) or len(options) < 2:
        return ""
    return "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, options, strict=False))


def _counted(rows: Iterable[Row], count: int | None) -> Iterator[Row]:
    """Yield this number of rows: the first ones, or all of them repeatedly."""
    if count is None:
        yield from rows
        return
    seen: list[Row] = []
    for row in islice(rows, count):
        seen.append(row)
        yield row
    if seen:
        yield from islice(cycle(seen), count - len(seen))


def _sampled(
    rows: list[Row], sampling: CustomSampling, count: int | None, lengths: Iterator[int] | None, seed: int
) -> Iterator[Row]:
    random = Random(seed)
    size = len(rows) if count is None else count
    if sampling == "random" and rows:
        chosen: Iterable[Row] = [random.choice(rows) for _ in range(size)]
    else:
        if sampling == "shuffle":
            random.shuffle(rows)
        chosen = _counted(rows, size) if rows else ()
    for row in chosen:
        drawn = next(lengths) if lengths is not None else None
        yield {**row, "max_tokens": drawn if row.get("max_tokens") is None else row["max_tokens"]}


def _lengths(
    between: Sequence[int] | None, shares: Sequence[tuple[int, float]] | None, seed: int
) -> Iterator[int] | None:
    """Return an endless iterator of random reply lengths."""
    if between is not None and shares is not None:
        raise UsageError("output_range and output_shares exclude each other")
    random = Random(f"{seed}:lengths")
    if between is not None:
        if len(between) != 2 or not 1 <= between[0] <= between[1]:
            raise UsageError(f"output_range = {list(between)} must be [min, max] with 1 <= min <= max")
        return iter(lambda: random.randint(between[0], between[1]), 0)
    if shares is None:
        return None
    numbers, weights = [n for n, _ in shares], [share for _, share in shares]
    if not shares or min(numbers) < 1 or min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
        raise UsageError(
            f"output_shares = {[list(one) for one in shares]} must be pairs of a length of at least 1 and a "
            "share above 0, and the shares must sum to 1, as in [[100, 0.5], [200, 0.5]]"
        )
    return iter(lambda: random.choices(numbers, weights)[0], 0)


def meta_options(meta: Any, where: str) -> dict[str, Any]:
    """Return the options of `custom` for a `.meta.json` file.

    Raises:
        UsageError: a key is unknown, or a value is invalid; `where` names the file.
    """
    if not isinstance(meta, dict):
        raise UsageError(f"{where}: expected an object, found {type(meta).__name__}")
    known = {"request_count", "sampling_mode", "output_config"}
    if unknown := sorted(set(meta) - known):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    options: dict[str, Any] = {}
    if "request_count" in meta:
        options["request_count"] = _positive_integer(meta["request_count"], f"{where}: request_count")
    if "sampling_mode" in meta:
        if meta["sampling_mode"] not in ("default", "shuffle", "random"):
            raise UsageError(
                f"{where}: sampling_mode is {meta['sampling_mode']!r}, but must be default, shuffle or random"
            )
        options["sampling"] = meta["sampling_mode"]
    return {**options, **_output_config(meta.get("output_config"), f"{where}: output_config")}


def _output_config(config: Any, where: str) -> dict[str, Any]:
    if config is None or config == {}:
        return {}
    table = config if isinstance(config, dict) else {}
    method, params = table.get("method"), table.get("params")
    if not isinstance(params, dict) or method not in ("uniform", "percentage"):
        raise UsageError(f"{where}: expected a method, uniform or percentage, and params, found {config!r}")
    if method == "uniform":
        low, high = (
            _positive_integer(params.get(key), f"{where}.params.{key}") for key in ("min_value", "max_value")
        )
        if low > high:
            raise UsageError(f"{where}.params: min_value {low} is above max_value {high}")
        return {"output_range": [low, high]}
    shares = params.get("percentage_distribute")
    try:
        pairs = [[_positive_integer(number, where), float(share)] for number, share in shares or ()]
    except (TypeError, ValueError):
        pairs = []
    if not pairs or min(share for _, share in pairs) <= 0 or abs(sum(s for _, s in pairs) - 1) > 1e-9:
        raise UsageError(
            f"{where}.params.percentage_distribute: {shares!r} must be [[max_tokens, share], …] whose shares "
            "are above 0 and sum to 1, as in [[100, 0.5], [200, 0.5]]"
        )
    return {"output_shares": pairs}


def _positive_integer(value: Any, where: str) -> int:
    """Return a whole number of at least 1; it may be given as a text."""
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{where} is {value!r}, but must be a whole number of at least 1")
    return int(text)
