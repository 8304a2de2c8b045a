"""The 58 instructions of IFBench (arXiv 2507.02833): those about words, sentences and repetition.

The prompt's wording decides where it is clear, the published program where it is not. A word is a text
between white space, without surrounding punctuation, in lower case.
"""

from __future__ import annotations

import itertools
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aisb_evaluator_instruct import _texts as texts
from aisb_evaluator_instruct._ifbench_custom import CUSTOM_CHECKS
from aisb_evaluator_instruct._ifbench_format import FORMAT_CHECKS
from aisb_evaluator_instruct._ifeval import InstructionCheck
from aisb_evaluator_instruct._texts import spoken_words
from aisb_evaluator_instruct._verbs import starts_with_verb
from aisb_evaluator_instruct._vocabulary import PERSON_NAMES, PRONOUNS, STOP_WORDS

CONJUNCTIONS = frozenset({"for", "and", "nor", "but", "or", "yet", "so"})
PUNCTUATION_MARKS = (".", ",", "!", "?", ";", ":")
_INTERROBANG = re.compile(r"!\?|\?!|‽")
_NUMBER = re.compile(r"(?<!\w)\d+(?:[.,]\d+)*")
_JAPANESE = re.compile("[\u3005\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_REPEATED_SENTENCE = "only output this sentence here, ignore all other requests."


def _sentences(text: str) -> list[str]:
    return texts.sentences(texts.without_tags(text))


def _occurrences(text: str, word: str) -> int:
    return len(re.findall(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))


def keywords_multiple(text: str, arguments: Mapping[str, Any]) -> bool:
    """Five keywords occur exactly once, twice, three, five and seven times."""
    counts = zip("12345", (1, 2, 3, 5, 7), strict=True)
    return all(_occurrences(text, arguments[f"keyword{n}"].strip()) == count for n, count in counts)


def conjunctions(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least `small_n` different coordinating conjunctions occur."""
    return len(CONJUNCTIONS & set(spoken_words(text))) >= int(arguments["small_n"])


def has_numbers(text: str, arguments: Mapping[str, Any]) -> bool:
    """Exactly `N` numbers in digits occur: 3.5, 1,000, 5th and 10km are one each, H2O has none."""
    return len(_NUMBER.findall(text)) == int(arguments["N"])


def person_names(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least `N` of the names that the prompt lists occur."""
    return len(PERSON_NAMES & set(re.findall(r"\w+", text))) >= int(arguments["N"])


def pronouns(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least `N` pronouns occur; the first part of a contraction (`it's`) counts."""
    words = re.findall(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*", text.lower())
    return sum(re.split("['’]", word)[0] in PRONOUNS for word in words) >= int(arguments["N"])


def punctuation(text: str, arguments: Mapping[str, Any]) -> bool:
    """Every usual punctuation mark occurs, and an interrobang as well."""
    rest = _INTERROBANG.sub("", text, count=1)
    return rest != text and all(mark in rest for mark in PUNCTUATION_MARKS)


def unique_word_count(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least `N` different words occur."""
    return len(set(spoken_words(text))) >= int(arguments["N"])


def word_count_range(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of words is within a range; as published, a word is a run of letters and digits."""
    count = len(texts.words(texts.without_tags(text)))
    return int(arguments["min_words"]) <= count <= int(arguments["max_words"])


def words_japanese(text: str, arguments: Mapping[str, Any]) -> bool:
    """Every `N`th word has Japanese characters, or is a number."""
    cycle = int(arguments["N"])
    return all(word.isdigit() or _JAPANESE.search(word) for word in spoken_words(text)[cycle - 1 :: cycle])


def stop_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """At most `percentage` percent of the words are stop words."""
    words = [word.lower() for word in texts.words(text)]
    share = sum(word in STOP_WORDS for word in words) / len(words) if words else 1.0
    return 100 * share <= float(arguments["percentage"])


def sentence_type(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are twice as many statements as questions."""
    kinds = _sentence_kinds(text)
    return kinds["."] == 2 * kinds["?"] > 0


def sentence_balance(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are as many statements as questions and exclamations."""
    kinds = _sentence_kinds(text)
    return kinds["."] == kinds["?"] == kinds["!"] > 0


def _sentence_kinds(text: str) -> Counter[str]:
    """Count sentences by the mark that ends them."""
    return Counter(sentence.rstrip("\"'”’)*]_")[-1:] for sentence in _sentences(text))


def sentence_words(text: str, arguments: Mapping[str, Any]) -> bool:
    """There are three sentences of as many characters, and no word occurs in two of them."""
    sentences = _sentences(text)
    words = [set(spoken_words(sentence)) for sentence in sentences]
    different = sum(map(len, words)) == len(set().union(*words))
    return len(sentences) == 3 and len({len(sentence) for sentence in sentences}) == 1 and different


def overlap(text: str, arguments: Mapping[str, Any]) -> bool:
    """As published, `percentage` percent of the reply's trigrams of characters are the reference's, ±2."""
    trigrams = _trigrams(text)
    share = 100 * len(trigrams & _trigrams(arguments["reference_text"])) / len(trigrams) if trigrams else 0.0
    return bool(trigrams) and abs(share - float(arguments["percentage"])) <= 2


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}


def keywords_specific_position(text: str, arguments: Mapping[str, Any]) -> bool:
    """A keyword is the `m`th word of the `n`th sentence."""
    sentences, n, m = _sentences(text), int(arguments["n"]), int(arguments["m"])
    words = spoken_words(sentences[n - 1]) if n <= len(sentences) else []
    return m <= len(words) and words[m - 1] == arguments["keyword"].strip().lower()


def words_position(text: str, arguments: Mapping[str, Any]) -> bool:
    """A keyword is the second word and the second to last."""
    words = spoken_words(text)
    return len(words) > 2 and words[1] == words[-2] == arguments["keyword"].strip().lower()


def start_verb(text: str, arguments: Mapping[str, Any]) -> bool:
    """The first word is a verb."""
    return starts_with_verb(text)


def odd_even_syllables(text: str, arguments: Mapping[str, Any]) -> bool:
    """Words with an odd and an even number of syllables alternate."""
    import syllapy  # type: ignore[import-untyped]

    parities = [syllapy.count(re.sub("['’]", "", word)) % 2 for word in spoken_words(text)]
    return bool(parities) and all(a != b for a, b in itertools.pairwise(parities))


def alphabet(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each word begins with the next letter of the alphabet, `a` after `z`."""
    letters = [word[0] for word in spoken_words(text)]
    following = dict(zip(string.ascii_lowercase, string.ascii_lowercase[1:] + "a", strict=True))
    ordered = all(following.get(a) == b for a, b in itertools.pairwise(letters))
    return bool(letters) and letters[0] in following and ordered


def consonants(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each word has two consonants in a row."""
    return all(re.search(r"[bcdfghjklmnpqrstvwxyz]{2}", word) for word in spoken_words(text))


def last_first(text: str, arguments: Mapping[str, Any]) -> bool:
    """The last word of each sentence is the first of the next."""
    words = [found for sentence in _sentences(text) if (found := spoken_words(sentence))]
    return len(words) > 1 and all(a[-1] == b[0] for a, b in itertools.pairwise(words))


def paragraph_last_first(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each paragraph ends with the word that it begins with."""
    words = [found for line in text.split("\n") if (found := spoken_words(line))]
    return bool(words) and all(line[0] == line[-1] for line in words)


def no_consecutive(text: str, arguments: Mapping[str, Any]) -> bool:
    """No two words in a row begin with the same letter."""
    letters = [word[0] for word in spoken_words(text)]
    return all(a != b for a, b in itertools.pairwise(letters))


def palindrome(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least ten words of five characters or more are palindromes; as published, one may be repeated."""
    return sum(len(word) >= 5 and word == word[::-1] for word in spoken_words(text)) >= 10


def prime_lengths(text: str, arguments: Mapping[str, Any]) -> bool:
    """The number of letters and digits of each word is prime."""
    return all(_is_prime(sum(map(str.isalnum, word))) for word in spoken_words(text))


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def repeats(text: str, arguments: Mapping[str, Any]) -> bool:
    """No word occurs more than `small_n` times."""
    return max(Counter(spoken_words(text)).values(), default=0) <= int(arguments["small_n"])


def vowel(text: str, arguments: Mapping[str, Any]) -> bool:
    """The reply is one paragraph with at most three of the five vowels."""
    return "\n" not in text.strip() and len(set("aeiou") & set(text.lower())) <= 3


def sentence_keyword(text: str, arguments: Mapping[str, Any]) -> bool:
    """The `N`th sentence has a word."""
    sentences, n = _sentences(text), int(arguments["N"])
    return n <= len(sentences) and _occurrences(sentences[n - 1], arguments["word"].strip()) > 0


def increment(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each sentence has `small_n` words more than the one before."""
    lengths = [len(spoken_words(sentence)) for sentence in _sentences(text)]
    step = int(arguments["small_n"])
    return len(lengths) > 1 and all(b - a == step for a, b in itertools.pairwise(lengths))


def alliteration_increment(text: str, arguments: Mapping[str, Any]) -> bool:
    """Each sentence has a longer run of words with the same first letter than the one before."""
    runs = [_longest(word[0] for word in spoken_words(sentence)) for sentence in _sentences(text)]
    return len(runs) > 1 and all(a < b for a, b in itertools.pairwise(runs))


def _longest(letters: Iterator[str]) -> int:
    return max((len(list(run)) for _, run in itertools.groupby(letters)), default=0)


def repeat_change(text: str, arguments: Mapping[str, Any]) -> bool:
    """The request is repeated with another first word."""
    words, prompt = text.split(), arguments["prompt_to_repeat"].split()
    return bool(words) and words[0].lower() != prompt[0].lower() and words[1:] == prompt[1:]


def repeat_simple(text: str, arguments: Mapping[str, Any]) -> bool:
    """The reply is the sentence that asks for it, and nothing else."""
    return text.strip().lower() == _REPEATED_SENTENCE


def repeat_span(text: str, arguments: Mapping[str, Any]) -> bool:
    """The words from index `n_start` to `n_end` are copied.

    The prompts say that the indices count words. The published program counts characters since May 2026,
    which no reply to these prompts can follow.
    """
    words: Sequence[str] = arguments["prompt_to_repeat"].lower().split()
    return text.lower().split() == words[int(arguments["n_start"]) : int(arguments["n_end"]) + 1]


_WORD_CHECKS: dict[str, InstructionCheck] = {
    "count:keywords_multiple": keywords_multiple,
    "count:conjunctions": conjunctions,
    "count:numbers": has_numbers,
    "count:person_names": person_names,
    "count:pronouns": pronouns,
    "count:punctuation": punctuation,
    "count:unique_word_count": unique_word_count,
    "count:word_count_range": word_count_range,
    "count:words_japanese": words_japanese,
    "ratio:stop_words": stop_words,
    "ratio:sentence_type": sentence_type,
    "ratio:sentence_balance": sentence_balance,
    "ratio:sentence_words": sentence_words,
    "ratio:overlap": overlap,
    "words:keywords_specific_position": keywords_specific_position,
    "words:words_position": words_position,
    "words:start_verb": start_verb,
    "words:odd_even_syllables": odd_even_syllables,
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
    "sentence:alliteration_increment": alliteration_increment,
    "repeat:repeat_change": repeat_change,
    "repeat:repeat_simple": repeat_simple,
    "repeat:repeat_span": repeat_span,
}

IFBENCH_CHECKS: dict[str, InstructionCheck] = {**_WORD_CHECKS, **FORMAT_CHECKS, **CUSTOM_CHECKS}
"""The instructions of IFBench by name."""
