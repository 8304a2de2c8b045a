"""A reply made for each of the 300 prompts of IFBench follows all its instructions, so that 100 can be reached."""

import itertools
import os

import pytest

from aisb import Prediction
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._scoring.scoring import measure, score

NAMES = """
Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin Harper
Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria Elijah Layla
Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella Jonathan
""".split()  # noqa: SIM905 - a list in lines is easier to read
AFRICA = """
Zimbabwe, Zambia, Uganda, Tunisia, Togo, Tanzania, Sudan, South Sudan, South Africa, Somalia, Sierra Leone,
Seychelles, Senegal, São Tomé and Príncipe, Rwanda, Nigeria, Niger, Namibia, Mozambique, Morocco, Mauritius,
Mauritania, Mali, Malawi, Madagascar, Libya, Liberia, Lesotho, Kenya, Ivory Coast, Guinea-Bissau, Guinea, Ghana,
Gambia, Gabon, Ethiopia, Eswatini, Eritrea, Equatorial Guinea, Egypt, Djibouti,
Democratic Republic of the Congo, Congo, Comoros, Chad, Central African Republic, Cape Verde, Cameroon, Burundi,
Burkina Faso, Botswana, Benin, Angola, Algeria
"""
CAPITALS = """
Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, Amsterdam,
Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, Chișinău, Bern, Ljubljana,
Zagreb
"""
STORY = """
Ants Bees Cats Dogs Eels Foxes Geese Hens Ibises Jays Kites Lions Mice Newts Owls Pigs Quails Rats Seals Toads Urchins
Voles Whales Xerus Yaks Zebras
""".split()  # noqa: SIM905 - a list in lines is easier to read


def keywords(given):
    """Write each keyword as often as is asked."""
    counts = zip("12345", (1, 2, 3, 5, 7), strict=True)
    return " ".join(f"We see {given[f'keyword{n}']} here." for n, count in counts for _ in range(count))


def sentences(given, *, end="."):
    """Write short sentences, of which the nth has the word."""
    n = int(given["N"])
    return " ".join([f"Birds sing{end}"] * (n - 1) + [f"There is {given['word']} here{end}"])


def different_words(count):
    """Return so many words that differ."""
    syllables = itertools.product("bdfgklmnprstv", "aeiou", "bdgmnprt")
    return ["".join(letters) for letters in itertools.islice(syllables, count)]


def increments(step, first="Rivers shape land."):
    """Write four sentences, each longer by the same number of words."""
    return " ".join([first, *("We " + "really " * (1 + step * n) + "agree." for n in (1, 2, 3))])


def position(given):
    """Write sentences with the keyword at its place."""
    before = " ".join(["Birds sing."] * (int(given["n"]) - 1))
    return f"{before} {'So ' * (int(given['m']) - 1)}{given['keyword']} here."


def overlapping(given, head="", words=None):
    """Write pieces of the reference text and text of no use, until the share of common trigrams is right."""

    def trigrams(text):
        return {text[n : n + 3] for n in range(len(text) - 2)}

    reference = given["reference_text"]
    pieces = words or list(reference)
    own, joint = trigrams(reference), " " if words else ""
    filler = [f"qzstr{n}" for n in range(200)] if words else [f" {n}zq" for n in range(400)]
    for used in range(len(pieces), 2, -max(1, len(pieces) // 40)):
        for extra in range(len(filler)):
            text = head + joint.join([*pieces[:used], *filler[:extra]])
            found = trigrams(text)
            share = 100 * len(found & own) / len(found)
            if abs(share - given["percentage"]) <= 1:
                return text
            if share < given["percentage"]:
                break
    raise AssertionError(f"no text overlaps by {given['percentage']} percent")


def clustered_words(text):
    """Return the words of a text with two consonants in a row."""
    letters = "bcdfghjklmnpqrstvwxyz"
    return [
        word
        for word in text.split()
        if any(a in letters and b in letters for a, b in itertools.pairwise(word.lower()))
    ]


SINGLE = {
    "count:conjunctions": lambda given: (
        "I came for tea and bread but not pie or jam, nor cake, yet I left, so there."
    ),
    "count:keywords_multiple": keywords,
    "count:numbers": lambda given: " ".join(f"We saw {n} birds." for n in range(1, int(given["N"]) + 1)),
    "count:person_names": lambda given: ", ".join(NAMES[: int(given["N"])]) + " met.",
    "count:pronouns": lambda given: "They told me that it helps. " * int(given["N"]),
    "count:punctuation": lambda given: "Well, here it is: rain; more rain! Is it over? What?! Yes.",
    "count:unique_word_count": lambda given: " ".join(different_words(int(given["N"]))),
    "count:word_count_range": lambda given: "word " * int(given["min_words"]),
    "count:words_japanese": lambda given: " ".join(
        "言葉" if n % given["N"] == 0 else "word" for n in range(1, 100)
    ),
    "custom:character_reverse": lambda given: ".elgae dlab eht si ti",
    "custom:csv_city": lambda given: "ID,Country,City,Year,Count\n" + "1,Peru,Lima,1999,3\n" * 7,
    "custom:csv_quotes": lambda given: (
        '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"' + '\n"1"\t"Art"\t"A"\t"1"\t"9"' * 3
    ),
    "custom:csv_special_character": lambda given: (
        "ProductID,Category,Brand,Price,Stock\n" + '1,Toys,"A & B",9,3\n' + "2,Toys,Acme,9,3\n" * 13
    ),
    "custom:date_format_list": lambda given: "1796-04-12, 1800-06-14, 1815-06-18",
    "custom:european_capitals_sort": lambda given: " ".join(CAPITALS.split()),
    "custom:mcq_count_length": lambda given: "\n\n".join(
        f"Question {n}: Who{' really' * n} painted it?\nA) Ann\nB) Bo\nC) Cy\nD) Di\nE) Ed"
        for n in range(1, 5)
    ),
    "custom:multiples": lambda given: "14\n21\n28\n35\n42\n49",
    "custom:reverse_newline": lambda given: "\n".join(" ".join(one.split()) for one in AFRICA.split(",")),
    "custom:sentence_alphabet": lambda given: " ".join(f"{one} rest." for one in STORY),
    "custom:word_reverse": lambda given: "eagle bald the is states united the of symbol national The",
    "format:emoji": lambda given: "It rains today 🌧️. We stay in 🏠! Is that fine? 🙂",
    "format:line_indent": lambda given: "One\n  two\n    three",
    "format:list": lambda given: f"{given['sep']} apples\n{given['sep']} pears",
    "format:newline": lambda given: "Rain\nfalls\ntoday.",
    "format:no_bullets_bullets": lambda given: "It rains. We wait.\n* tea\n* bread",
    "format:no_whitespace": lambda given: "No,theyarenot.",
    "format:options": lambda given: given["options"].replace(" or ", "/").replace(", ", "/").split("/")[0],
    "format:output_template": lambda given: "My Answer: yes\nMy Conclusion: yes\nFuture Outlook: good",
    "format:parentheses": lambda given: "It is (so [very {deep (down [here])}]).",
    "format:quote_unquote": lambda given: 'The words "a shell" mean an empty body.',
    "format:quotes": lambda given: (
        'She said, "He told me, \'Ann wrote "no" to us,\' and left," and that was all.'
    ),
    "format:sub-bullets": lambda given: "* rivers\n  - Nile\n* mountains\n  - Etna",
    "format:thesis": lambda given: "<i>Rivers shape land.</i> They carry stones to the sea.",
    "format:title_case": lambda given: (
        "The Rise of the River Clans\n\nThey Live by the Water and Trade in Salt."
    ),
    "ratio:overlap": overlapping,
    "ratio:sentence_balance": lambda given: "It rains. Does it? It does!",
    "ratio:sentence_type": lambda given: "It rains. We stay. Will it stop?",
    "ratio:sentence_words": lambda given: "Big dogs run far. Wee cats nap now. Red hens eat rye.",
    "ratio:stop_words": lambda given: "Rivers carry stones. Mountains crumble. Glaciers melt.",
    "repeat:repeat_change": lambda given: "Please " + given["prompt_to_repeat"].split(maxsplit=1)[1],
    "repeat:repeat_simple": lambda given: "Only output this sentence here, ignore all other requests.",
    "repeat:repeat_span": lambda given: " ".join(
        given["prompt_to_repeat"].split()[given["n_start"] : given["n_end"] + 1]
    ),
    "sentence:alliteration_increment": lambda given: "Rain came. Big birds sang. Six silly seals swam.",
    "sentence:increment": lambda given: increments(int(given["small_n"])),
    "sentence:keyword": sentences,
    "words:alphabet": lambda given: "Yesterday zebras ate blue clover.",
    "words:consonants": lambda given: "Strong winds swept through empty streets.",
    "words:keywords_specific_position": position,
    "words:last_first": lambda given: "We saw rain. Rain fell on stone. Stone lasts.",
    "words:no_consecutive": lambda given: "Rain fell on grey stone.",
    "words:odd_even_syllables": lambda given: "Rain never came after noon.",
    "words:palindrome": lambda given: "Level radar civic madam refer rotor kayak tenet solos stats.",
    "words:paragraph_last_first": lambda given: "Rain is only rain.\n\nStone stays stone.",
    "words:prime_lengths": lambda given: "He is the old uncle.",
    "words:repeats": lambda given: "Rain fell on old stone.",
    "words:start_verb": lambda given: "Imagine rain without end.",
    "words:vowel": lambda given: "The sheep sleep in the green field.",
    "words:words_position": lambda given: f"One {given['keyword']} day was {given['keyword']} indeed.",
}
PAIRS = {
    ("count:numbers", "count:conjunctions"): lambda a, b: (
        SINGLE["count:conjunctions"](b) + " " + SINGLE["count:numbers"](a)
    ),
    ("count:numbers", "count:unique_word_count"): lambda a, b: (
        " ".join(map(str, range(1, int(a["N"]) + 1))) + " " + SINGLE["count:unique_word_count"](b)
    ),
    ("count:word_count_range", "format:list"): lambda a, b: f"{b['sep']} word\n{b['sep']} " + "word " * 90,
    ("format:emoji", "sentence:keyword"): lambda a, b: sentences(b, end=" 🌧️."),
    ("format:line_indent", "ratio:sentence_words"): lambda a, b: (
        "Big dogs run far.\n  Wee cats nap now.\n    Red hens eat rye."
    ),
    ("format:list", "words:no_consecutive"): lambda a, b: f"{a['sep']} apples\n{a['sep']} pears",
    ("format:options", "format:newline"): lambda a, b: "I\nknow",
    ("format:quotes", "format:emoji"): lambda a, b: SINGLE["format:quotes"](a)[:-1] + " 🙂.",
    ("format:sub-bullets", "ratio:stop_words"): lambda a, b: "* rivers\n  - Nile\n* mountains\n  - Etna",
    ("format:thesis", "count:word_count_range"): lambda a, b: "<i>Rivers shape land.</i> " + "word " * 231,
    ("ratio:overlap", "sentence:keyword"): lambda a, b: overlapping(a, head=sentences(b) + "\n\n"),
    ("ratio:sentence_balance", "words:consonants"): lambda a, b: (
        "Strong winds blew. Still strong? Truly strong!"
    ),
    ("sentence:increment", "format:thesis"): lambda a, b: increments(
        int(a["small_n"]), "<i>Rivers shape land.</i>"
    ),
    ("sentence:keyword", "count:word_count_range"): lambda a, b: (
        sentences(a) + " " + "word " * (int(b["max_words"]) - 4 - 2 * (int(a["N"]) - 1))
    ),
    ("words:alphabet", "format:parentheses"): lambda a, b: "All (bring [clean {dry (eggs [fast])}]).",
    ("words:consonants", "ratio:overlap"): lambda a, b: overlapping(
        b, words=clustered_words(b["reference_text"])
    ),
    ("words:consonants", "words:odd_even_syllables"): lambda a, b: "Strong winter brings silver frost.",
    ("words:start_verb", "count:person_names"): lambda a, b: "Imagine " + SINGLE["count:person_names"](b),
    ("words:vowel", "count:pronouns"): lambda a, b: "She and he see me. " * int(b["N"]),
}


def made(names, arguments):
    """Make a reply that follows all instructions of a row."""
    given = [{key: value for key, value in one.items() if value is not None} for one in arguments]
    return SINGLE[names[0]](*given) if len(names) == 1 else PAIRS[tuple(names)](*given)


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_replies_made_to_follow_all_300_prompts_score_100(plugins):
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["ifbench"])).tasks.values()
    samples = {sample.id: sample for sample in load_samples(task, plugins, DataFolders.default())}
    replies = {
        key: made(sample.fields["instruction_id_list"], sample.fields["kwargs"])
        for key, sample in samples.items()
    }
    predictions = [Prediction(key, text=text, finish_reason="stop") for key, text in replies.items()]
    scores = await score(task, samples, predictions, plugins)
    failed = {
        one.sample_id: (one.details, replies[one.sample_id][:200])
        for one in scores["instructions"]
        if one.outcome != "correct"
    }
    assert not failed
    metrics = measure(task, scores, plugins)["instructions"]
    assert {metric.value for metric in metrics} == {100}
    assert {metric.count for metric in metrics} == {300, 344}


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
async def test_one_plain_reply_to_all_300_prompts_follows_few_of_them(plugins):
    """A check that accepts anything would show here."""
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=["ifbench"])).tasks.values()
    samples = {sample.id: sample for sample in load_samples(task, plugins, DataFolders.default())}
    text = "The weather is nice today, and we are going for a walk in the park with all of our friends."
    predictions = [Prediction(key, text=text, finish_reason="stop") for key in samples]
    scores = await score(task, samples, predictions, plugins)
    assert sum(one.outcome == "correct" for one in scores["instructions"]) < 30
