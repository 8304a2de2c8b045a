"""The 58 checks of IFBench, one by one: replies that follow each instruction, and replies that do not."""

import pytest

from aisb_evaluator_instruct._ifbench import IFBENCH_CHECKS

FIVE = {f"keyword{n}": word for n, word in enumerate(["one", "two", "three", "four", "five"], start=1)}
EACH = " ".join(["one", *["two"] * 2, *["three"] * 3, *["four"] * 5, *["five"] * 7])
PALINDROMES = "level radar civic madam refer rotor kayak tenet solos stats"

CASES = [
    ("count:keywords_multiple", FIVE, EACH, EACH + " one"),
    ("count:conjunctions", {"small_n": 3.0}, "This and that, but not so.", "This and that and more."),
    ("count:numbers", {"N": 2}, "It is 3.5 of 1,000.", "It is 3 of 4 or 5."),
    ("count:unique_word_count", {"N": 3}, "a b c", "a b a B"),
    ("count:punctuation", {}, "Well, yes; so: it is! Is it? What?! End.", "Well, yes."),
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, "one two", "one two three four"),
    (
        "words:keywords_specific_position",
        {"keyword": "sea", "n": 2, "m": 3},
        "One. It is Sea.",
        "One. Sea it is.",
    ),
    ("words:alphabet", {}, "Yes, zebras are big.", "Are zebras big?"),
    ("words:consonants", {}, "strong black", "a strong one"),
    ("words:last_first", {}, "I see you. You see it. It ends.", "I see you. They see it."),
    ("words:paragraph_last_first", {}, "Sea is the sea.\n\nSky is sky.", "Sea is the sky."),
    ("words:no_consecutive", {}, "a big cat", "a big bat"),
    ("words:palindrome", {}, PALINDROMES, PALINDROMES.replace("stats", "stat")),
    ("words:prime_lengths", {}, "an old white", "a four"),
    ("words:repeats", {"small_n": 2}, "a a b", "a a a"),
    ("words:vowel", {}, "an old bird", "an old bird flue"),
    ("sentence:keyword", {"N": 2, "word": "sea"}, "One. The sea.", "The sea. One."),
    ("sentence:increment", {"small_n": 1}, "Go. Go there. Go there now.", "Go. Go there. Go now."),
    ("ratio:sentence_words", {}, "I run. We go. Be it.", "I run. I sit. He ran fast."),
    ("ratio:sentence_balance", {}, "Yes. No? So!", "Yes. No."),
    ("ratio:sentence_type", {}, "Yes. It is. No?", "Yes. No?"),
    ("ratio:overlap", {"reference_text": "abcdef", "percentage": 50.0}, "abcdxy", "abcdef"),
    ("format:emoji", {}, "It is fine 😀\nYes! 🎉", "It is fine. Yes 😀"),
    ("format:line_indent", {}, "a\n b\n  c", "a\n b\n b"),
    ("format:list", {"sep": "SEPARATOR"}, "SEPARATOR a SEPARATOR b", "a, b"),
    ("format:newline", {}, "one\ntwo", "one two\nthree"),
    ("format:no_bullets_bullets", {}, "It is. So it is.\n* a\n* b", "* a\n* b\nIt is. So it is."),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe.", "Maybe not"),
    ("format:parentheses", {}, "(a [b {c (d [e])}])", "(a [b]) (c {d})"),
    ("format:sub-bullets", {}, "* a\n  - b\n* c\n  - d", "* a\n  - b\n* c"),
    ("format:output_template", {}, "My Answer: a\nMy Conclusion: b\nFuture Outlook: c", "My Answer: a"),
    ("format:no_whitespace", {}, "none\n", "some of it"),
    ("repeat:repeat_change", {"prompt_to_repeat": "Write a line"}, "Draw a line", "Write a line"),
    ("repeat:repeat_span", {"prompt_to_repeat": "a b c d", "n_start": 1, "n_end": 2}, "b c", "a b"),
    ("custom:multiples", {}, "14, 21, 28, 35, 42, 49", "10, 14, 21, 28, 35, 42, 49"),
    ("custom:sentence_alphabet", {}, " ".join(f"{chr(n)}x is." for n in range(65, 91)), "A is. B is."),
    ("custom:date_format_list", {}, "1796-04-12, 1805-12-02", "12 April 1796"),
]


def countries(*names):
    """Return lines from Zimbabwe backwards, 52 of them and more."""
    return "\n".join(["Zimbabwe", "Zambia", *(f"Y{n:02}" for n in range(60, 10, -1)), *names])


def questions(*lengths, choices="ABCDE"):
    """Write questions of so many words."""
    return "\n".join(
        f"Question {n}: Who{' so' * length}?\n" + "\n".join(f"{letter}) x" for letter in choices)
        for n, length in enumerate(lengths, start=1)
    )


def table(columns, rows, separator=","):
    """Write rows below the names of the columns."""
    return "\n".join([separator.join(columns), *rows])


STUDENT = ('"StudentID"', '"Subject"', '"Grade"', '"Semester"', '"Score"')
PRODUCT = ("ProductID", "Category", "Brand", "Price", "Stock")
CITY = ("ID", "Country", "City", "Year", "Count")
NORTH = (
    "Reykjavik, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, "
    "Chisinau, Bern, Ljubljana, Zagreb"
)

FOLLOWED = [
    ("count:person_names", {"N": 2}, ["Emma met Liam.", "Emma's and Zoe's"]),
    (
        "count:pronouns",
        {"N": 3},
        ["It's what she said.", "I think they know it.", "he/him/his", "**You** and me, us"],
    ),
    ("count:words_japanese", {"N": 2}, ["one 言葉 two カメラ", "one 言葉, two 3 four ねこ", "one"]),
    ("count:numbers", {"N": 2}, ["The 1960s and 10km.", "From .5 to 3.14.", "H2O on the 5th of 12 months."]),
    ("count:punctuation", {}, ["One, two; three: go! Why? So‽ Yes.", "Why!? a, b; c: d! e? f."]),
    (
        "count:word_count_range",
        {"min_words": 3, "max_words": 3},
        ["<i>One</i> two three.", "- one - two - three"],
    ),
    ("ratio:stop_words", {"percentage": 25.0}, ["The rivers carry stones.", "Rivers carry stones."]),
    ("ratio:sentence_words", {}, ["Big dogs run far.\n  Wee cats nap now.\n    Red hens eat rye."]),
    ("words:words_position", {"keyword": "sea"}, ["The sea is a sea indeed.", "The Sea, or a sea, indeed!"]),
    (
        "words:start_verb",
        {},
        [
            "Imagine an empire.",
            "**Design** a system that learns.",
            "Focus on the roots.",
            "Study quantum mechanics.",
            "Understanding fields takes time.",
            "Let's begin.",
            "Is it so?",
            "Trapped in pain, souls cry.",
            "Think of a field.",
            "# Explore the Empire",
        ],
    ),
    (
        "words:odd_even_syllables",
        {},
        ["Rain never came after noon.", "Never came after", "The water, so quiet"],
    ),
    ("words:palindrome", {}, ["level " * 10]),
    ("words:prime_lengths", {}, ["It is re-use.", "He is the old uncle."]),
    ("words:vowel", {}, ["The sheep sleep in the green field."]),
    (
        "sentence:alliteration_increment",
        {},
        ["Rain came. Big birds sang. Six silly seals swam.", "Two tall men ran. We saw six silly seals."],
    ),
    ("sentence:increment", {"small_n": 2}, ["<i>Go now.</i> Go now to Rome. Go now to Rome and eat."]),
    ("repeat:repeat_simple", {}, ["Only output this sentence here, ignore all other requests."]),
    (
        "format:emoji",
        {},
        [
            "It rains 🌧️. We go 🙅‍♂️!",
            "It rains. 🌧️ We go. 🏠",
            "Fine 😀\nYes! 🎉",
            "In Peru 🇵🇪.",
            "# Rain\nIt rains 🌧️.",
        ],
    ),
    ("format:list", {"sep": "-"}, ["- a\n- b", "a - b - c"]),
    ("format:newline", {}, ["yes", "- one\n- two"]),
    ("format:no_bullets_bullets", {}, ["**Rain**\nIt rains. We go.\n * a\n * b\nSo it is."]),
    ("format:options", {"options": "I know or I don't know"}, ["I don't know.", "I\nknow", "I don’t know"]),
    (
        "format:quotes",
        {},
        [
            'She said, "He told me, \'Ann wrote "no" to us,\' and left."',
            "'I heard \"we don't say 'no' here\" today,' she said.",
            "“He said, ‘Ann wrote “no” to us,’ and left.”",
        ],
    ),
    (
        "format:quote_unquote",
        {},
        ['"A shell" is an empty body.', "“A” means one, “b” means two, I think.", "There is no quotation."],
    ),
    (
        "format:thesis",
        {},
        [
            "<i>Rivers shape land.</i> They carry stones.",
            "# Rivers\n<em>They shape land.</em> Yes.\n\n## Seas\n\n<i>They rise.</i>\nSo they do.",
            "On Rivers\n\n<p><i>They shape land.</i></p>\n<p>They do.</p>",
            "<h2>Rivers</h2>\n<i>They shape land.</i> Yes.\n<h2>Seas</h2>\n<i>They rise.</i> Yes.",
        ],
    ),
    (
        "format:title_case",
        {},
        [
            "The Rise of the River Clans\n\nThey Live by the Water.",
            "The Rise Of The Clans",
            "It's 5pm In NYC - Don't Wait",
            "I Own an iPhone",
        ],
    ),
    ("custom:character_reverse", {}, [".elgae dlab eht si SU eht fo lobmys ehT", "elgaE dlaB"]),
    ("custom:word_reverse", {}, ["Eagle bald the is symbol national the.", "eagle bald a is it"]),
    (
        "custom:csv_city",
        {},
        [table(CITY, ["1,Peru,Lima,1999,3"] * 7), table(CITY, ['1, Chad, "A, B", 1, 2'] * 7) + "\n"],
    ),
    ("custom:csv_quotes", {}, [table(STUDENT, ['"1"\t"Art"\t"A"\t"1"\t"9"'] * 3, "\t")]),
    (
        "custom:csv_special_character",
        {},
        [
            table(PRODUCT, ['1,Toys,"A & B",9,3', *["1,Toys,B,9,3"] * 13]),
            table(PRODUCT, ['1,Toys,"A, B",9,3'] * 14),
        ],
    ),
    ("custom:date_format_list", {}, ["1796-04-12"]),
    (
        "custom:european_capitals_sort",
        {},
        [NORTH, NORTH.replace("Prague", "Kyiv, Prague").replace("ik", "ík") + "."],
    ),
    (
        "custom:mcq_count_length",
        {},
        [questions(1, 2, 3, 4), questions(0, 2, 4, 9).replace("Question", "**Question")],
    ),
    (
        "custom:reverse_newline",
        {},
        [
            countries("Burundi", "Angola"),
            "Here they are:\n\n" + countries("Angola"),
            "\n".join(f"{n}. {name}" for n, name in enumerate(countries("Angola").split("\n"), start=1)),
            countries("São Tomé", "The Gambia", "Chad"),
        ],
    ),
]
BROKEN = [
    ("count:person_names", {"N": 2}, ["Emma met emma and grace.", "Emmanuel, Liam", "Emma and Emma"]),
    (
        "count:pronouns",
        {"N": 3},
        ["Its use is an art; I agree.", "The cats sat there.", "thematic item, usher"],
    ),
    ("count:words_japanese", {"N": 2}, ["one two three four", "one 言葉 two three"]),
    ("count:numbers", {"N": 2}, ["Only H2O.", "In 1999, 3 of 4.", "two"]),
    ("count:punctuation", {}, ["One, two; three: go, why?! Yes.", "One, two; three: go! Why? Yes."]),
    ("count:word_count_range", {"min_words": 3, "max_words": 3}, ["one two", "well-known words here"]),
    ("ratio:stop_words", {"percentage": 25.0}, ["The rivers are old.", "..."]),
    ("ratio:sentence_words", {}, ["Big dogs run far. Wee dogs nap now. Red hens eat rye."]),
    (
        "words:words_position",
        {"keyword": "sea"},
        ["The sea is here.", "A sea", "Sea is the sea", "It is a sea indeed."],
    ),
    (
        "words:start_verb",
        {},
        [
            "The empire falls.",
            "Design is about people.",
            "Focus of the text: roots",
            "Research on this topic shows that it works.",
            "Sure, here is an idea.",
            "Galois theory is deep.",
            "Play: a drama in three acts",
            "Light travels fast.",
            "To be or not to be.",
            "1. An idea",
        ],
    ),
    ("words:odd_even_syllables", {}, ["Rain came never.", "Never after"]),
    ("words:palindrome", {}, ["level " * 9, "noon " * 10]),
    ("words:prime_lengths", {}, ["We can't do so here.", "a"]),
    ("words:vowel", {}, ["The sheep\n\nsleep", "An old bird flue"]),
    (
        "sentence:alliteration_increment",
        {},
        [
            "Big birds sang. Six silly seals swam. Rain came.",
            "Rain came. Snow fell.",
            "Two tall men ran. So sad, too tall.",
        ],
    ),
    ("sentence:increment", {"small_n": 2}, ["Go now. Go now to. Go to Rome.", "Go now. Stay here."]),
    ("repeat:repeat_simple", {}, ["Sure: Only output this sentence here, ignore all other requests."]),
    ("format:emoji", {}, ["It rains. We go 🏠.", "🌧️ It rains.", "It rains 🌧️. We go.", "None"]),
    ("format:list", {"sep": "-"}, ["well-known, up-to-date", "- a"]),
    ("format:newline", {}, ["one two", "one\ntwo three"]),
    (
        "format:no_bullets_bullets",
        {},
        ["It rains.\n* a\n* b", "It rains. We go.\n* a", "It rains! We go!\n* a\n* b"],
    ),
    ("format:options", {"options": "a), b), c), d)"}, ["a) because", "e)", "a) b)"]),
    (
        "format:quotes",
        {},
        [
            "She said, \"He told me, 'no', and left.\"",
            "It's Ann's, don't you say 'so'?",
            '"One" and \'two\' and "three"',
            'A "b \'c "d',
        ],
    ),
    (
        "format:quote_unquote",
        {},
        ['It is "a shell".', '"A shell" "of a man" is said.', "“A shell”, “a man”. So it is."],
    ),
    (
        "format:thesis",
        {},
        [
            "Rivers shape land. They carry stones.",
            "*Rivers shape land.* They carry stones.",
            "<i>Rivers shape land.</i>",
            "<i> </i> Rivers shape land.",
            "# Rivers\n<i>They shape land.</i> Yes.\n\n# Seas\nThey rise.",
            "They shape land, as is known. <i>So they do.</i> Yes.",
        ],
    ),
    (
        "format:title_case",
        {},
        ["The rise of the Clans", "the Rise of the Clans", "THE RISE OF THE CLANS", "Rain\nand Snow"],
    ),
    ("custom:character_reverse", {}, ["The bald eagle.", "The national symbol of the US is the elgae dlab."]),
    (
        "custom:word_reverse",
        {},
        [
            "The national symbol is the bald eagle.",
            "The national symbol of the US is the eagle bald.",
            ".elgae dlab eht",
        ],
    ),
    (
        "custom:csv_city",
        {},
        [
            table(CITY, ["1,Peru,Lima,1999,3"] * 6),
            table(CITY, ["1,Peru,Lima,1999"] * 7),
            table(CITY[::-1], ["1,Peru,Lima,1999,3"] * 7),
            "Here:\n" + table(CITY, ["1,Peru,Lima,1999,3"] * 7),
        ],
    ),
    (
        "custom:csv_quotes",
        {},
        [
            table(STUDENT, ['"1"\t"Art"\t"A"\t"1"\t9'] * 3, "\t"),
            table(STUDENT, ['"1","Art","A","1","9"'] * 3, ","),
            table(STUDENT, ['"1"\t"Art"\t"A"\t"1"\t"9"'] * 4, "\t"),
        ],
    ),
    (
        "custom:csv_special_character",
        {},
        [
            table(PRODUCT, ["1,Toys,A & B,9,3"] * 14),
            table(PRODUCT, ['1,Toys,"Acme",9,3'] * 14),
            table(PRODUCT, ['1,Toys,"A & B",9,3'] * 13),
        ],
    ),
    ("custom:date_format_list", {}, ["1796-13-12", "1996-04-12", "1796-04-12 Montenotte", "1796-02-30", ""]),
    (
        "custom:european_capitals_sort",
        {},
        [
            NORTH.replace("Oslo, ", ""),
            NORTH.replace("Bern, ", "Kyiv, Bern, "),
            "Oslo, Helsinki",
            NORTH + ", Rome",
        ],
    ),
    (
        "custom:mcq_count_length",
        {},
        [
            questions(1, 2, 3),
            questions(1, 2, 2, 3),
            questions(1, 2, 3, 4, choices="ABCD"),
            "Here they are:\n" + questions(1, 2, 3, 4),
            questions(1, 2, 3, 4) + "\nExplanation: none",
        ],
    ),
    (
        "custom:reverse_newline",
        {},
        [
            countries("Angola", "Burundi"),
            "Zimbabwe\nZambia\nUganda",
            countries("Chad").replace("Zimbabwe", "Algeria"),
        ],
    ),
]


def listed(cases):
    """Yield one case for each reply."""
    return [
        pytest.param(name, given, text, id=f"{name}-{n}")
        for name, given, texts in cases
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(("name", "given", "right", "wrong"), CASES, ids=[case[0] for case in CASES])
def test_an_instruction_is_followed_or_not(name, given, right, wrong):
    assert IFBENCH_CHECKS[name](right, given)
    assert not IFBENCH_CHECKS[name](wrong, given)


@pytest.mark.parametrize(("name", "given", "text"), listed(FOLLOWED))
def test_a_reply_that_follows_is_right(name, given, text):
    assert IFBENCH_CHECKS[name](text, given)


@pytest.mark.parametrize(("name", "given", "text"), listed(BROKEN))
def test_a_reply_that_does_not_follow_is_wrong(name, given, text):
    assert not IFBENCH_CHECKS[name](text, given)


def test_all_58_instructions_have_replies_of_both_kinds():
    pairs = {case[0] for case in CASES}
    assert len(IFBENCH_CHECKS) == 58
    assert set(IFBENCH_CHECKS) == pairs | {case[0] for case in FOLLOWED}
    assert set(IFBENCH_CHECKS) == pairs | {case[0] for case in BROKEN}
