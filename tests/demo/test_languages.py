"""The invented family: deterministic, related, nowhere the same, and valid as text and as treebank."""

from __future__ import annotations

from pathlib import Path

import conllu
import pytest

from sftkit.demo.languages import Family, make_family, write_conllu, write_text

SEEDS = range(5)
UPOS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X",
}  # fmt: skip


@pytest.fixture(scope="module", params=SEEDS)
def family(request: pytest.FixtureRequest) -> Family:
    return make_family(request.param)


def test_the_same_seed_gives_the_same_family() -> None:
    assert make_family(3) == make_family(3)


def test_another_seed_gives_other_words() -> None:
    assert make_family(3).source.vocabulary() != make_family(4).source.vocabulary()


def test_the_same_seed_gives_the_same_sentences(family: Family) -> None:
    assert family.target.sample(20, seed=1) == family.target.sample(20, seed=1)


def test_another_seed_gives_other_sentences(family: Family) -> None:
    assert family.target.sample(20, seed=1) != family.target.sample(20, seed=2)


def test_a_longer_sample_begins_with_the_shorter_one(family: Family) -> None:
    assert family.source.sample(30, seed=1)[:10] == family.source.sample(10, seed=1)


def test_the_target_is_unseen_and_the_source_is_pretrained_on(family: Family) -> None:
    assert family.target not in family.pretraining
    assert family.source in family.pretraining
    assert family.languages == (*family.pretraining, family.target)


def test_no_word_is_the_same_in_all_languages(family: Family) -> None:
    assert not set.intersection(*(language.vocabulary() for language in family.languages))


def test_sampled_words_are_in_the_vocabulary(family: Family) -> None:
    for language in family.languages:
        sampled = {
            word
            for sentence in language.sample(200, seed=1)
            for word, tag in zip(sentence.words, sentence.tags, strict=True)
            if tag != "PUNCT"
        }
        assert sampled <= language.vocabulary()


def test_words_of_the_target_begin_like_words_of_the_source(family: Family) -> None:
    """Related words share pieces: most of the target's words share their first two letters with one of the source's."""
    beginnings = {word[:2] for word in family.source.vocabulary()}
    target = family.target.vocabulary()
    assert sum(word[:2] in beginnings for word in target) > 0.5 * len(target)


def test_word_orders_differ(family: Family) -> None:
    assert len({tuple(sorted(language.order.items())) for language in family.languages}) == len(family.languages)


def test_some_words_have_more_than_one_tag(family: Family) -> None:
    tags: dict[str, set[str]] = {}
    for sentence in family.source.sample(1000, seed=1):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            tags.setdefault(word, set()).add(tag)
    assert any(len(seen) > 1 for seen in tags.values())


def test_tags_are_universal(family: Family) -> None:
    for language in family.languages:
        assert {tag for sentence in language.sample(300, seed=1) for tag in sentence.tags} <= UPOS


def test_heads_make_a_tree(family: Family) -> None:
    for language in family.languages:
        for sentence in language.sample(50, seed=1):
            assert sentence.heads.count(0) == 1
            for place in range(1, len(sentence.words) + 1):
                path = [place]
                while path[-1] != 0:
                    path.append(sentence.heads[path[-1] - 1])
                    assert len(path) <= len(sentence.words) + 1


def test_text_has_one_sentence_a_line(family: Family, tmp_path: Path) -> None:
    sentences = family.target.sample(10, seed=1)
    write_text(sentences, tmp_path / "text.txt")
    lines = (tmp_path / "text.txt").read_text(encoding="utf-8").splitlines()
    assert [tuple(line.split()) for line in lines] == [sentence.words for sentence in sentences]


def test_conllu_parses_back_to_the_sentences(family: Family, tmp_path: Path) -> None:
    sentences = family.source.sample(25, seed=1)
    write_conllu(sentences, tmp_path / "treebank.conllu")
    parsed = conllu.parse((tmp_path / "treebank.conllu").read_text(encoding="utf-8"))
    for sentence, tokens in zip(sentences, parsed, strict=True):
        assert tokens.metadata["text"] == " ".join(sentence.words)
        assert "sent_id" in tokens.metadata
        assert tuple(token["form"] for token in tokens) == sentence.words
        assert tuple(token["upos"] for token in tokens) == sentence.tags
        assert tuple(token["head"] for token in tokens) == sentence.heads
        assert tuple(token["deprel"] for token in tokens) == sentence.relations


def test_conllu_rows_have_ten_columns(family: Family, tmp_path: Path) -> None:
    write_conllu(family.source.sample(5, seed=1), tmp_path / "treebank.conllu")
    rows = (tmp_path / "treebank.conllu").read_text(encoding="utf-8").splitlines()
    assert all(len(row.split("\t")) == 10 for row in rows if row and not row.startswith("#"))
