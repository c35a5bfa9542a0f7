"""A word given by itself becomes the pieces that it is in running text, whatever kind of tokenizer it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sftkit.modeling.load import load_tokenizer
from sftkit.tasks.words import word_windows
from tests.cli.run import sftkit, train
from tests.helpers import pico

#: Words, numbers and punctuation apart, a space at the beginning of what follows it.
_GPT4 = Regex(r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+")
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
WORDS = ["ta", "mi", "don't", "ta", "mi12", ".", "é"]


def _bpe(space: str, letters: list[str]) -> Tokenizer:
    merges = [(space, "t"), (f"{space}t", "a"), (space, "m"), (f"{space}m", "i"), ("t", "a"), ("m", "i"), (space, "d")]
    pieces = dict.fromkeys([*_SPECIAL, *letters, *(a + b for a, b in merges)])
    return Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>"))


def _byte_level(
    *before: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None = None, prefix: bool = False
) -> Tokenizer:
    made = _bpe("Ġ", _BYTES)
    own = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not before)
    made.pre_tokenizer = pre_tokenizers.Sequence([*before, own]) if before else own
    if normalizer is not None:
        made.normalizer = normalizer
    return made


def _sentencepiece(
    before: pre_tokenizers.PreTokenizer | None, normalizer: normalizers.Normalizer | None = None
) -> Tokenizer:
    made = _bpe("▁", ["▁", *"abcdefghijklmnopqrstuvwxyz0123456789.'éдом人T"])
    if before is not None:
        made.pre_tokenizer = before
    if normalizer is not None:
        made.normalizer = normalizer
    return made


def _legacy() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def _strips() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "GPT-2, RoBERTa": _byte_level,
    "RoBERTa with spaces": lambda: _byte_level(prefix=True),
    "ModernBERT": lambda: _byte_level(normalizer=normalizers.NFC()),
    "Llama 3": lambda: _byte_level(pre_tokenizers.Split(_GPT4, "isolated")),
    "Qwen": lambda: _byte_level(pre_tokenizers.Split(_GPT4, "isolated"), normalizer=normalizers.NFC()),
    "Falcon": lambda: _byte_level(pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(True)),
    "byte-level that strips": lambda: _byte_level(normalizer=_strips()),
    "Gemma": lambda: _sentencepiece(
        pre_tokenizers.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "▁")
    ),
    "Llama 2": lambda: _sentencepiece(None, _legacy()),
    "XLM-R, T5": lambda: _sentencepiece(pre_tokenizers.Metaspace(prepend_scheme="always")),
    "Metaspace first": lambda: _sentencepiece(pre_tokenizers.Metaspace(prepend_scheme="first")),
    "Metaspace never": lambda: _sentencepiece(pre_tokenizers.Metaspace(prepend_scheme="never")),
}  # fmt: skip


def save(kind: str, path: Path) -> Path:
    made = PreTrainedTokenizerFast(
        tokenizer_object=KINDS[kind](), pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True),
    )  # fmt: skip
    made.save_pretrained(path)
    return path


def _pieces(tokenizer: PreTrainedTokenizerBase, words: list[str]) -> list[list[str]]:
    found = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    by_word: list[list[str]] = [[] for _ in words]
    for piece, word in zip(found.tokens(), found.word_ids(), strict=True):
        by_word[word].append(piece)
    return by_word


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_the_pieces_of_running_text_the_first_as_all_others(kind: str, tmp_path: Path) -> None:
    plain, given = load_tokenizer(save(kind, tmp_path)), load_tokenizer(tmp_path, words=True)
    wanted = plain(" ".join(["a", *WORDS]), add_special_tokens=False).tokens()
    first = plain("a", add_special_tokens=False).tokens()
    found = _pieces(given, WORDS)
    assert [*first, *(piece for pieces in found for piece in pieces)] == wanted
    assert found[0] == found[3] == [f"{'▁' if '▁' in found[0][0] else 'Ġ'}ta"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_that_was_mended_and_saved_needs_no_mending(kind: str, tmp_path: Path) -> None:
    mended = load_tokenizer(save(kind, tmp_path / "a"), words=True)
    mended.save_pretrained(tmp_path / "b")
    again = load_tokenizer(tmp_path / "b", words=True)
    assert _pieces(again, WORDS) == _pieces(mended, WORDS)
    assert again.backend_tokenizer.to_str() == load_tokenizer(tmp_path / "b").backend_tokenizer.to_str()


def test_a_tokenizer_without_marks_for_spaces_stays_as_it_is(tmp_path: Path) -> None:
    pico.make_tokenizer().save_pretrained(tmp_path)
    assert (
        load_tokenizer(tmp_path, words=True).backend_tokenizer.to_str()
        == load_tokenizer(tmp_path).backend_tokenizer.to_str()
    )


def test_text_that_is_not_words_is_read_as_the_base_reads_it(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save("Llama 3", tmp_path))
    assert tokenizer("ta mi", add_special_tokens=False).tokens() == ["ta", "Ġmi"]


def test_a_composed_model_scores_as_its_base_under_the_sft(tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base", "modernbert", vocab_size=300)
    save("ModernBERT", base)
    (tmp_path / "x.txt").write_text("ta NOUN\nmi VERB\n\nmi NOUN\ndon't ADJ\n")
    tagger = tmp_path / "pos.sft"
    assert train("--pos", tmp_path / "x.txt", "--base", base, "-o", tagger, "--lr", "0.1").status == 0
    assert sftkit("compose", base, tagger, "-o", tmp_path / "model").status == 0
    said: list[str] = []
    for model in ((base, tagger), (tmp_path / "model",)):
        out = tmp_path / f"said{len(said)}"
        done = sftkit("evaluate", *model, "--pos", tmp_path / "x.txt", "--predictions", out, "--device", "cpu")
        assert done.status == 0, done.stderr
        said.append(out.read_text())
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ["\u200b", "\ufe0f", "\u00ad", "\u2060", " ", "\u3000", "<mask>"])
def test_every_word_has_pieces_of_its_own_whatever_it_is(kind: str, odd: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save(kind, tmp_path), words=True)
    words = ["ta", odd, "mi", odd]
    (window,) = word_windows([words], tokenizer, 32)
    ends = [end for _, end in window.spans]
    assert list(window.kept) == [0, 1, 2, 3]
    assert all(start < end for start, end in window.spans)
    assert ends == sorted(set(ends))
