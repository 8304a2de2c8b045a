"""Made texts: as many tokens as asked, by real tokenizers of several kinds."""

from random import Random

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from aisb._errors import UsageError
from aisb_dataset_synthetic._filler import MANY, WORDS_FILE, Filler, LateIds, LateText, draw_many
from aisb_engine._data.tokens import load_tokenizer

WORDS = WORDS_FILE.read_text("utf-8").split()
FEW = ["the quick brown fox jumps over the lazy dog"] * 5


def train(kind):
    """Make a tokenizer: one with words of one token, one with a few merges, one that knows bytes alone, …"""
    if kind == "word-piece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{one}" for one in "abcdefghijklmnopqrstuvwxyz")]
        made.train_from_iterator(
            WORDS * 5,
            trainers.WordPieceTrainer(
                vocab_size=3000, special_tokens=["[UNK]"], initial_alphabet=letters[:26], show_progress=False
            ),
        )
        return made
    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Metaspace()
        made.train_from_iterator(
            [" ".join(WORDS)] * 3 + WORDS * 30,
            trainers.UnigramTrainer(
                vocab_size=900, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
            ),
        )
        return made
    made = Tokenizer(models.BPE())
    spanning = kind == "spanning"
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not spanning)
    made.decoder = decoders.ByteLevel()
    size = {"words": 6000, "few": 300, "bytes": 258, "spanning": 1200}[kind]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = {"words": [" ".join(WORDS)] * 20 + WORDS * 20, "spanning": [" ".join(WORDS[:200])] * 3 + WORDS}
    made.train_from_iterator(texts.get(kind, FEW), trainer)
    return made


@pytest.fixture(scope="module", params=["words", "few", "bytes", "spanning", "word-piece", "unigram"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    train(request.param).save(str(folder / "tokenizer.json"))
    made = load_tokenizer(folder)
    made.kind = request.param
    return made


def test_every_length_is_exact_under_every_kind_of_tokenizer(tokenizer):
    filler = Filler(tokenizer, "7")
    for asked in (*range(1, 60), 128, 511, 1024):
        made = filler.write(asked, asked)
        assert (made.tokens, made.exact) == (asked, True), made
        assert len(tokenizer.encode(made.text)) == asked
        assert made.text == made.text.strip()  # chat templates strip


def test_many_at_once_are_the_same_as_one_by_one(tokenizer):
    filler = Filler(tokenizer, "7")
    asked = [(f"row {n}", 3 + n) for n in range(30)]
    assert filler.write_all(asked) == [Filler(tokenizer, "7").write(*one) for one in asked]


def test_a_shared_beginning_stays_and_counts(tokenizer):
    filler = Filler(tokenizer, "7")
    begin = filler.write("begin", 40).text
    made = filler.write_all([(n, 41 + n) for n in range(40)], begin)
    assert all(one.text.startswith(begin) for one in made)
    assert [tokenizer.count(one.text) for one in made] == list(range(41, 81))
    assert all(one.exact for one in made)


def test_another_seed_or_key_writes_another_text(tokenizer):
    texts = [Filler(tokenizer, seed).write(key, 64).text for seed in ("1", "2") for key in ("a", "b")]
    assert len(set(texts)) == 4
    assert len({text[:20] for text in texts}) == 4


def test_a_text_is_of_many_different_words(tokenizer):
    said = Filler(tokenizer, "7").write("a", 512).text.split()
    assert len(set(said)) > len(said) / 4


def test_only_where_no_token_spans_two_words_are_counts_left_out(tokenizer):
    filler = Filler(tokenizer, "7")
    assert filler.sure == (tokenizer.kind in {"words", "word-piece"})


def test_a_length_that_cannot_be_met_is_not_called_exact(tmp_path):
    made = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate([*WORDS, "[UNK]"])}, unk_token="[UNK]")
    )
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    made.normalizer = normalizers.Prepend("and and ")  # each text has two tokens more, so one is too few
    made.save(str(tmp_path / "tokenizer.json"))
    filler = Filler(load_tokenizer(tmp_path), "7")
    short = filler.write("a", 1)
    assert (short.exact, short.tokens) == (False, load_tokenizer(tmp_path).count(short.text))
    assert short.text
    assert filler.write("a", 20).exact


def test_without_a_tokenizer_a_word_stands_for_a_token():
    made = Filler(None, "7").write("a", 20)
    assert len(made.text.split()) == 20
    assert (made.tokens, made.exact) == (None, False)


def test_token_ids_are_ordinary_ones(tokenizer):
    ids = Filler(tokenizer, "7").ids("a", 5000)
    assert set(ids) <= set(tokenizer.vocabulary())
    assert ids[:100] == Filler(tokenizer, "7").ids("a", 100)


def test_token_ids_without_a_tokenizer_are_from_the_middle_of_the_vocabulary():
    ids = Filler(None, "7").ids("a", 5000, size=800)
    assert (min(ids), max(ids)) == (100, 699)
    with pytest.raises(UsageError, match="token ids need a tokenizer, or vocabulary = N"):
        Filler(None, "7").ids("a", 5)


def test_a_late_text_is_made_when_it_is_asked_for():
    made = []
    late = LateText(lambda: made.append(1) or "text")
    assert made == []
    assert (str(late), made) == ("text", [1])


def test_late_token_ids_are_a_list_of_known_length():
    made = []
    late = LateIds(3, lambda: made.append(1) or [5, 6, 7])
    assert (len(late), made) == (3, [])
    assert tuple(late) == (5, 6, 7)
    assert (late[1], str(late)) == (6, "[5, 6, 7]")


@pytest.mark.parametrize("values", [WORDS, WORDS[:1], WORDS[:129]], ids=len)
def test_words_drawn_together_are_those_that_are_drawn_one_by_one(values):
    asked = [(f"seed:{count}", count) for count in (0, 1, 2, 512, 4000, 4001, 20_000, 3)]
    assert [*draw_many(values, asked)] == [Random(seed).choices(values, k=count) for seed, count in asked]


def test_texts_are_the_words_of_their_keys_however_many_were_made_before():
    filler = Filler(None, "0")
    wanted = [("a", 512), ("b", 3), ("c", 0)]
    expected = [" ".join(filler.words(key, count)) for key, count in wanted]
    assert filler.texts(wanted) == expected
    filler.texts([("d", MANY)])
    assert filler.texts(wanted) == expected


def test_a_prompt_is_the_same_whether_few_or_many_are_made_with_it():
    filler, length = Filler(None, "0"), 600
    many = filler.write_all([(number, length) for number in range(MANY // length + 1)])
    assert many[:7] == filler.write_all([(number, length) for number in range(7)])
    assert many[-1:] == filler.write_all([(MANY // length, length)])
