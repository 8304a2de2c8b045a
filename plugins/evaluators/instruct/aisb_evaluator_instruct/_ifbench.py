"""Instructions of IFBench, after the words in which its prompts give them (arXiv 2507.02833).

Those that need a model of a language are missing: names, pronouns, parts of speech, syllables, alliteration.
A word is read without the punctuation around it, and compared without regard to capitals.
"""

from __future__ import annotations

import itertools
import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aisb_evaluator_instruct import _texts as texts
from aisb_evaluator_instruct._ifeval import Check

CONJUNCTIONS = frozenset({"for", "and", "nor", "but", "or", "yet", "so"})
MARKS = (".", ",", "!", "?", ";", ":")
PRIMES = frozenset({2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31})
_EDGE = string.punctuation + "“”‘’…—–«»"
_EMOJI = re.compile("[\U0001f1e6-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff]\ufe0f?\u20e3?$")
_NESTING = {"(": ")", "[": "]", "{": "}"}


def spoken(text: str) -> list[str]:
    """Return the words between white space, in small letters, without punctuation around them."""
    return [word for one in text.lower().split() if (word := one.strip(_EDGE))]


def _occurs(text: str, word: str) -> int:
    return len(re.findall(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))


def keywords_multiple(text: str, given: Mapping[str, Any]) -> bool:
    """Five keywords are there exactly once, twice, three, five and seven times."""
    wanted = zip("12345", (1, 2, 3, 5, 7), strict=True)
    return all(_occurs(text, given[f"keyword{n}"].strip()) == count for n, count in wanted)


def conjunctions(text: str, given: Mapping[str, Any]) -> bool:
    """There are at least so many different coordinating conjunctions."""
    return len(CONJUNCTIONS & set(spoken(text))) >= int(given["small_n"])


def keywords_specific_position(text: str, given: Mapping[str, Any]) -> bool:
    """A keyword is the mth word of the nth sentence."""
    sentences, n, m = texts.sentences(text), int(given["n"]), int(given["m"])
    words = spoken(sentences[n - 1]) if n <= len(sentences) else []
    return m <= len(words) and words[m - 1] == given["keyword"].lower()


def numbers(text: str, given: Mapping[str, Any]) -> bool:
    """There are exactly so many numbers."""
    return len(re.findall(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)", text)) == int(given["N"])


def unique_word_count(text: str, given: Mapping[str, Any]) -> bool:
    """There are at least so many different words."""
    return len(set(spoken(text))) >= int(given["N"])


def punctuation(text: str, given: Mapping[str, Any]) -> bool:
    """Every usual punctuation mark is there, and the interrobang."""
    return all(mark in text for mark in MARKS) and ("‽" in text or "!?" in text or "?!" in text)


def word_count_range(text: str, given: Mapping[str, Any]) -> bool:
    """The number of words is within a range."""
    return int(given["min_words"]) <= len(text.split()) <= int(given["max_words"])


def sentence_keyword(text: str, given: Mapping[str, Any]) -> bool:
    """The nth sentence has a word."""
    sentences, n = texts.sentences(text), int(given["N"])
    return n <= len(sentences) and _occurs(sentences[n - 1], given["word"].strip()) > 0


def emoji(text: str, given: Mapping[str, Any]) -> bool:
    """Every sentence ends with an emoji: each line, and each sentence within one."""
    for line in filter(None, map(str.strip, text.splitlines())):
        if not _EMOJI.search(line):
            return False
        begins = re.findall(r"[.!?]+[\"”’)]*\s+(\S)", line)
        if any(begin.isalnum() for begin in begins):
            return False
    return True


def line_indent(text: str, given: Mapping[str, Any]) -> bool:
    """Each line is indented further than the one before."""
    lines = [line for line in text.split("\n") if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    return len(indents) > 1 and all(a < b for a, b in itertools.pairwise(indents))


def separated_list(text: str, given: Mapping[str, Any]) -> bool:
    """The items of a list are separated by a word."""
    return text.count(given["sep"]) >= 1


def newline(text: str, given: Mapping[str, Any]) -> bool:
    """Each word is on a line of its own."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(len(line.split()) == 1 for line in lines)


def no_bullets_bullets(text: str, given: Mapping[str, Any]) -> bool:
    """At least two sentences with full stops, and then at least two bullet points."""
    before, _, _ = text.partition("\n*")
    bullets = re.findall(r"^\s*\*[^*]", text, re.MULTILINE)
    sentences = [one for one in texts.sentences(before) if one.endswith(".")]
    return not before.lstrip().startswith("*") and len(sentences) >= 2 and len(bullets) >= 2


def options(text: str, given: Mapping[str, Any]) -> bool:
    """The answer is one of the options and nothing else."""
    known = [one.strip(" .").lower() for one in re.split(r"/|,|\bor\b", given["options"])]
    return text.strip().strip(" .*\"'").lower() in known


def parentheses(text: str, given: Mapping[str, Any]) -> bool:
    """Brackets are nested at least five levels deep, and each is closed by its own."""
    opened: list[str] = []
    deepest = 0
    for character in text:
        if character in _NESTING:
            opened.append(_NESTING[character])
        elif character in _NESTING.values() and opened:
            if opened[-1] != character:
                opened.clear()
                continue
            deepest = max(deepest, len(opened))
            opened.pop()
    return deepest >= 5


def sub_bullets(text: str, given: Mapping[str, Any]) -> bool:
    """There are bullet points, and each has a sub-bullet point."""
    parts = re.split(r"^\s*\*(?!\*)", text, flags=re.MULTILINE)[1:]
    return bool(parts) and all(re.search(r"^\s*-", part, re.MULTILINE) for part in parts)


def increment(text: str, given: Mapping[str, Any]) -> bool:
    """Each sentence has so many words more than the one before."""
    lengths = [len(spoken(one)) for one in texts.sentences(text)]
    step = int(given["small_n"])
    return len(lengths) > 1 and all(b - a == step for a, b in itertools.pairwise(lengths))


def sentence_words(text: str, given: Mapping[str, Any]) -> bool:
    """Three sentences of the same number of characters, and no word twice."""
    sentences = texts.sentences(text)
    words = [set(spoken(one)) for one in sentences]
    different = sum(map(len, words)) == len(set().union(*words))
    return len(sentences) == 3 and len({len(one) for one in sentences}) == 1 and different


def _kinds(text: str) -> Counter[str]:
    return Counter(one.rstrip("\"'”’)*")[-1:] for one in texts.sentences(text))


def sentence_balance(text: str, given: Mapping[str, Any]) -> bool:
    """There are as many statements as questions and exclamations."""
    kinds = _kinds(text)
    return kinds["."] == kinds["?"] == kinds["!"] > 0


def sentence_type(text: str, given: Mapping[str, Any]) -> bool:
    """There are twice as many statements as questions."""
    kinds = _kinds(text)
    return kinds["."] == 2 * kinds["?"] > 0


def overlap(text: str, given: Mapping[str, Any]) -> bool:
    """So many percent of the reference's trigrams of characters are there, give or take two."""
    ours, theirs = ({one[n : n + 3] for n in range(len(one) - 2)} for one in (text, given["reference_text"]))
    share = 100 * len(ours & theirs) / len(theirs) if theirs else 0
    return abs(share - float(given["percentage"])) <= 2


def alphabet(text: str, given: Mapping[str, Any]) -> bool:
    """Each word begins with the next letter of the alphabet."""
    letters = [word[0] for word in spoken(text)]
    following = dict(zip(string.ascii_lowercase, string.ascii_lowercase[1:] + "a", strict=True))
    return bool(letters) and all(following.get(a) == b for a, b in itertools.pairwise(letters))


def consonants(text: str, given: Mapping[str, Any]) -> bool:
    """Each word has at least one cluster of consonants."""
    return all(re.search(r"[bcdfghjklmnpqrstvwxyz]{2}", word) for word in spoken(text))


def last_first(text: str, given: Mapping[str, Any]) -> bool:
    """The last word of each sentence is the first of the next."""
    words = [found for one in texts.sentences(text) if (found := spoken(one))]
    return len(words) > 1 and all(a[-1] == b[0] for a, b in itertools.pairwise(words))


def paragraph_last_first(text: str, given: Mapping[str, Any]) -> bool:
    """Each paragraph ends with the word that it began with."""
    words = [found for one in text.split("\n") if (found := spoken(one))]
    return bool(words) and all(one[0] == one[-1] for one in words)


def no_consecutive(text: str, given: Mapping[str, Any]) -> bool:
    """No two words in a row begin with the same letter."""
    letters = [word[0] for word in spoken(text)]
    return all(a != b for a, b in itertools.pairwise(letters))


def palindrome(text: str, given: Mapping[str, Any]) -> bool:
    """There are at least ten palindromes of five characters or more."""
    return sum(len(word) >= 5 and word == word[::-1] for word in set(spoken(text))) >= 10


def prime_lengths(text: str, given: Mapping[str, Any]) -> bool:
    """The length of each word is a prime number."""
    return all(len(word) in PRIMES for word in spoken(text))


def repeats(text: str, given: Mapping[str, Any]) -> bool:
    """No word is there more often than so many times."""
    return max(Counter(spoken(text)).values(), default=0) <= int(given["small_n"])


def vowel(text: str, given: Mapping[str, Any]) -> bool:
    """There are no more than three of the five vowels."""
    return len(set("aeiou") & set(text.lower())) <= 3


def repeat_change(text: str, given: Mapping[str, Any]) -> bool:
    """The request is repeated with another first word."""
    said, asked = text.strip().split(), given["prompt_to_repeat"].strip().split()
    return bool(said) and said[0].lower() != asked[0].lower() and said[1:] == asked[1:]


def repeat_span(text: str, given: Mapping[str, Any]) -> bool:
    """A span of the request's words is copied; words are counted from 0."""
    words = given["prompt_to_repeat"].split()
    start, end = int(given["n_start"]), int(given["n_end"])
    return text.strip().lower().split() == [word.lower() for word in words[start : end + 1]]


def output_template(text: str, given: Mapping[str, Any]) -> bool:
    """The three parts of the template are there."""
    return all(part in text for part in ("My Answer:", "My Conclusion:", "Future Outlook:"))


def no_whitespace(text: str, given: Mapping[str, Any]) -> bool:
    """There is no white space."""
    return not re.search(r"\s", text.strip())


def multiples(text: str, given: Mapping[str, Any]) -> bool:
    """The multiples of 7 from 14 to 49 are printed, and no other number."""
    return [int(one) for one in re.findall(r"\d+", text)] == list(range(14, 50, 7))


def sentence_alphabet(text: str, given: Mapping[str, Any]) -> bool:
    """26 sentences begin with the letters of the alphabet in order."""
    begins = [found[0][0] for one in texts.sentences(text) if (found := spoken(one))]
    return begins == list(string.ascii_lowercase)


def date_format_list(text: str, given: Mapping[str, Any]) -> bool:
    """There are only dates as YYYY-MM-DD, with commas between them."""
    day = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    return re.fullmatch(rf"{day}(?:\s*,\s*{day})*", text.strip()) is not None


CHECKS: dict[str, Check] = {
    "count:keywords_multiple": keywords_multiple,
    "count:conjunctions": conjunctions,
    "count:numbers": numbers,
    "count:unique_word_count": unique_word_count,
    "count:punctuation": punctuation,
    "count:word_count_range": word_count_range,
    "words:keywords_specific_position": keywords_specific_position,
    "words:alphabet": alphabet,
    "words:consonants": consonants,
    "words:last_first": last_first,
    "words:paragraph_last_first": paragraph_last_first,
    "words:no_consecutive": no_consecutive,
    "words:palindrome": palindrome,
    "words:prime_lengths": prime_lengths,
    "words:repeats": repeats,
    "words:vowel": vowel,
    "sentence:keyword": sentence_keyword,
    "sentence:increment": increment,
    "ratio:sentence_words": sentence_words,
    "ratio:sentence_balance": sentence_balance,
    "ratio:sentence_type": sentence_type,
    "ratio:overlap": overlap,
    "format:emoji": emoji,
    "format:line_indent": line_indent,
    "format:list": separated_list,
    "format:newline": newline,
    "format:no_bullets_bullets": no_bullets_bullets,
    "format:options": options,
    "format:parentheses": parentheses,
    "format:sub-bullets": sub_bullets,
    "format:output_template": output_template,
    "format:no_whitespace": no_whitespace,
    "repeat:repeat_change": repeat_change,
    "repeat:repeat_span": repeat_span,
    "custom:multiples": multiples,
    "custom:sentence_alphabet": sentence_alphabet,
    "custom:date_format_list": date_format_list,
}
"""What is offered of IFBench, by name."""
