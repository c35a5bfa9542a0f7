"""A word that is not known is refused with those that are, and with the one that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

import sftkit as library
from sftkit.errors import SettingsError
from sftkit.shown import meant
from tests.cli.run import sftkit

REFUSED = {
    "trian --mlm x.txt": "trian: there is no such command. Did you mean train?",
    "train --batchsize 3": "No such option: --batchsize. Did you mean --batch-size?",
    "train --gradient": "No such option: --gradient. Did you mean --gradient-checkpointing?",
    "inspect --layer x.sft": "No such option: --layer. Did you mean --layers?",
    "train --mlm x.txt --method lotery": "--method lotery: known are lottery, diff, random, bitfit, mask. "
    "Did you mean lottery?",
    "train --mlm x.txt --criterion chnge": "--criterion chnge: known are change, magnitude-increase, movement, "
    "fisher. Did you mean change?",
    "train --mlm x.txt --precision fp16": "--precision fp16: known are f32, bf16, f16. Did you mean",
    "train --mlm x.txt --device gpu": "--device gpu: known are auto, cpu, cuda, mps.",
    "train --mlm x.txt --scheme-in bio": "--scheme-in bio: known are iob2, iob1, bioes, bilou, bmes. "
    "Did you mean bioes?",
    "evaluate base --dep x.conllu --decode gredy": "--decode gredy: known are tree, greedy. Did you mean greedy?",
    "overlap a.sft b.sft --metric cosin": "--metric cosin: known are share, jaccard, lift, sign, cosine. "
    "Did you mean cosine?",
    "compose a.sft b.sft -o c.sft --method tie": "--method tie: known are sum, ties, dare. Did you mean ties?",
    "compose a.sft b.sft -o c.sft --values float": "--values float: known are f32, bf16, f16.",
    "convert a.sft -o b --objective ponos": "--objective ponos: known are mlm,",
    "help glosary": "glosary: there is no such page. Did you mean glossary?",
}


def told(shown: str) -> str:
    """An error without its frame."""
    return " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_misspelt_is_refused_with_what_was_meant(line: str) -> None:
    done = sftkit(*line.split())
    assert done.status == 2
    assert REFUSED[line] in told(done.stderr)


def test_a_misspelt_key_of_a_file_of_options_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('batch_sise = 3\nmlm = ["x.txt"]\n')
    done = sftkit("train", "--config", tmp_path / "run.toml")
    assert done.status == 2
    assert "there is no option --batch-sise. Did you mean batch-size?" in told(done.stderr)


def test_a_misspelt_option_of_a_function_is_told_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Did you mean columns"):
        library.evaluate("ner", "x.txt", "base", colums=("a", "b"))
    with pytest.raises(SettingsError, match="Did you mean classify"):
        library.evaluate("clasify", "x.txt", "base")


def test_only_what_is_near_is_meant() -> None:
    assert meant("xyz", ("abc", "def")) == ""
    assert meant("NOUNN", ("NOUN", "PROPN", "X")) == " Did you mean NOUN?"
    assert meant("mov", ("movement", "change")) == " Did you mean movement?"


def test_a_choice_may_be_typed_in_capitals() -> None:
    done = sftkit("train", "--mlm", "none.txt", "--method", "Lottery", "--scheme-in", "")
    assert done.stderr == "error: none.txt: no such file.\n"


def test_a_list_in_a_file_of_options_is_what_one_would_type(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('columns = ["a", "b", "c"]\npos = ["x.conllu"]\n')
    done = sftkit("train", "--config", tmp_path / "run.toml")
    assert done.status == 2
    assert "--columns a,b,c: name 2 columns, those of word, tag." in told(done.stderr)
