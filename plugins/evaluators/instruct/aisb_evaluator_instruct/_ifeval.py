"""The 25 instructions of IFEval, after their published definitions (arXiv 2311.07911, Table 1).

Each check takes the answer and the row's arguments. If the benchmark's program and its wording differ, the
program decides, because published numbers come from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from aisb_evaluator_instruct import _texts as texts

InstructionCheck = Callable[[str, Mapping[str, Any]], bool]

_YES_NO_MAYBE = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")


def relation_holds(count: int, relation: str | None, number: Any) -> bool:
    """Return whether a count is `less than` or `at least` a number."""
    return count < int(number) if relation == "less than" else count >= int(number)


def has_keywords(text: str, arguments: Mapping[str, Any]) -> bool:
    """All keywords occur."""
    return all(re.search(word, text, re.IGNORECASE) for word in arguments["keywords"])


def keyword_frequency(text: str, arguments: Mapping[str, Any]) -> bool:
    """A keyword occurs `frequency` times."""
    found = re.findall(arguments["keyword"].strip(), text, re.IGNORECASE)
    return relation_holds(len(found), arguments.get("relation"), arguments["frequency"])


def no_forbidden_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """No forbidden word occurs."""
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in arguments["forbidden_words"])


def letter_frequency(text: str, arguments: Mapping[str, Any]) -> bool:
    """A letter or another character occurs `let_frequency` times; capitals are included."""
    found = text.lower().count(arguments["letter"].strip().lower())
    return relation_holds(found, arguments.get("let_relation"), arguments["let_frequency"])


def response_language(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer is in a language, or too short to tell."""
    return texts.language(text) in (arguments["language"], None)


def number_sentences(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of sentences matches."""
    return relation_holds(len(texts.sentences(text)), arguments.get("relation"), arguments["num_sentences"])


def number_paragraphs(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of paragraphs, separated by `***`, matches exactly."""
    parts = re.split(r"\s?\*\*\*\s?", text)
    if not all(part.strip() for part in parts[1:-1]):
        return False
    return sum(bool(part.strip()) for part in parts) == int(arguments["num_paragraphs"])


def number_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of words matches."""
    return relation_holds(len(texts.words(text)), arguments.get("relation"), arguments["num_words"])


def nth_paragraph_first_word(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of paragraphs, separated by empty lines, matches, and the nth begins with a word."""
    parts = text.split("\n\n")
    nth = int(arguments["nth_paragraph"])
    count = sum(bool(part.strip()) for part in parts)
    if nth > count or not (begins := parts[nth - 1].split()):
        return False
    word = re.split(r"[.,?!'\"]", begins[0].lstrip("'").lstrip('"'))[0].lower()
    return count == int(arguments["num_paragraphs"]) and word == arguments["first_word"].lower()


def number_placeholders(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are at least `num_placeholders` placeholders in square brackets."""
    return len(re.findall(r"\[.*?\]", text)) >= int(arguments["num_placeholders"])


def postscript(text: str, arguments: Mapping[str, Any]) -> bool:
    """There is a postscript that begins with a marker."""
    marker = arguments["postscript_marker"].strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(known.get(marker, marker.lower()), text.lower()) is not None


def number_bullet_lists(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of bullet points matches exactly."""
    stars = re.findall(r"^\s*\*[^*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return len(stars) + len(dashes) == int(arguments["num_bullets"])


def constrained_response(text: str, arguments: Mapping[str, Any]) -> bool:
    """One of three fixed answers is given."""
    return any(answer in text.strip() for answer in _YES_NO_MAYBE)


def number_highlighted_sections(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are at least `num_highlights` parts between asterisks."""
    single = re.findall(r"\*[^\n*]*\*", text)
    double = re.findall(r"\*\*[^\n*]*\*\*", text)
    found = sum(bool(part.strip("*").strip()) for part in single)
    found += sum(bool(part.removeprefix("**").removesuffix("**").strip()) for part in double)
    return found >= int(arguments["num_highlights"])


def multiple_sections(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are at least `num_sections` sections, each with a heading of a word and a number."""
    marks = re.findall(rf"\s?{arguments['section_spliter'].strip()}\s?\d+\s?", text)
    return len(marks) >= int(arguments["num_sections"])


def json_format(text: str, arguments: Mapping[str, Any]) -> bool:
    """The whole answer is JSON, fenced or not."""
    inner = text.strip()
    for fence in _FENCES:
        inner = inner.removeprefix(fence)
    try:
        json.loads(inner.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def has_title(text: str, arguments: Mapping[str, Any]) -> bool:
    """There is a title in double angular brackets."""
    return any(found.lstrip("<").rstrip(">").strip() for found in re.findall(r"<<[^\n]+>>", text))


def two_responses(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are two different answers with six asterisks between them."""
    parts = text.split("******")
    if not all(part.strip() for part in parts[1:-1]):
        return False
    answers = [part.strip() for part in parts if part.strip()]
    return len(answers) == 2 and answers[0] != answers[1]


def repeat_prompt(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer begins with the request, word for word."""
    return text.strip().lower().startswith(arguments["prompt_to_repeat"].strip().lower())


def end_checker(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer ends with a phrase."""
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].strip().lower())


def quotation(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer is in double quotes."""
    inner = text.strip()
    return len(inner) > 1 and inner[0] == '"' and inner[-1] == '"'


def capital_word_frequency(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of words in capitals matches."""
    found = sum(word.isupper() for word in texts.tokens(text))
    return relation_holds(found, arguments.get("capital_relation"), arguments["capital_frequency"])


def english_capital(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer is English, in capital letters only."""
    return text.isupper() and texts.language(text) in ("en", None)


def english_lowercase(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer is English, without a capital."""
    return text.islower() and texts.language(text) in ("en", None)


def no_comma(text: str, arguments: Mapping[str, Any]) -> bool:
    """There is no comma."""
    return "," not in text


IFEVAL_CHECKS: dict[str, InstructionCheck] = {
    "keywords:existence": has_keywords,
    "keywords:frequency": keyword_frequency,
    "keywords:forbidden_words": no_forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": has_title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
"""The instructions of IFEval by name."""
