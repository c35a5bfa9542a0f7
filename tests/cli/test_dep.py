"""``--dep`` from the command line: learned, composed, taken apart, scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoModel

from sftkit.format.files import SftFile, read
from sftkit.format.writing import write
from sftkit.tasks.readers.conllu import RELATIONS
from tests.cli.run import sftkit


def train(data: Path, output: Path, base: Path, *options: object) -> Path:
    quick = ("--base", base, "--steps", 60, "--k", 1500, "--lr", "1e-2", "--device", "cpu", "--quiet")
    done = sftkit("train", "--dep", data, "-o", output, *quick, *options)
    assert done.status == 0, done.stderr
    return output


def scores(*arguments: object) -> dict[str, float]:
    done = sftkit("evaluate", *arguments, "--device", "cpu", "--json")
    assert done.status == 0, done.stderr
    metrics: dict[str, float] = json.loads(done.stdout)["metrics"]
    return metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, corpus: Path, treebank: Path) -> Path:
    """``lang.sft``; ``dep.sft``, learned under it; and ``parser/``, composed of both."""
    folder = tmp_path_factory.mktemp("parsing")
    quick = ("--base", pico_base, "--steps", 3, "--k", 400, "--lr", "1e-2", "--device", "cpu", "--quiet")
    assert sftkit("train", "--mlm", corpus, "-o", folder / "lang.sft", *quick).status == 0
    train(treebank, folder / "dep.sft", pico_base, "--with", folder / "lang.sft")
    assert sftkit("compose", pico_base, folder / "lang.sft", folder / "dep.sft", "-o", folder / "parser").status == 0
    return folder


def test_a_parser_learns_its_treebank(pico_base: Path, folder: Path, treebank: Path) -> None:
    found = scores(pico_base, folder / "dep.sft", folder / "lang.sft", "--dep", treebank)
    assert found["uas"] > 0.9
    assert found["las"] > 0.9


def test_composed_on_disk_it_scores_the_same(pico_base: Path, folder: Path, treebank: Path) -> None:
    in_memory = scores(pico_base, folder / "dep.sft", folder / "lang.sft", "--dep", treebank)
    assert scores(folder / "parser", "--dep", treebank) == in_memory


def test_the_difference_of_two_models_is_a_parsers_sft(pico_base: Path, folder: Path, treebank: Path) -> None:
    assert sftkit("subtract", folder / "parser", pico_base, "-o", folder / "both.sft").status == 0
    assert read(folder / "both.sft").metadata.objective == "dep"
    assert scores(pico_base, folder / "both.sft", "--dep", treebank) == scores(folder / "parser", "--dep", treebank)


def test_inspect_shows_the_head(folder: Path) -> None:
    document = json.loads(sftkit("inspect", folder / "dep.sft", "--json").stdout)
    assert document["objective"] == "dep"
    assert {part["name"]: part["shape"] for part in document["head"]}["relation_biaffine.weight"] == [37 * 16, 16]


def test_gradient_checkpointing_learns_the_same(pico_base: Path, tmp_path: Path, treebank: Path) -> None:
    plain, saving = (
        read(train(treebank, tmp_path / f"{i}.sft", pico_base, "--method", "random", "--steps", 2, *options))
        for i, options in enumerate([(), ("--gradient-checkpointing",)])
    )
    for name in plain.head:
        np.testing.assert_allclose(saving.head[name], plain.head[name], rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_is_refused_before_data_is_read_where_there_is_none(tmp_path: Path) -> None:
    sizes = {"embedding_size": 8, "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8}
    AutoModel.from_config(AutoConfig.for_model("albert", vocab_size=120, **sizes)).save_pretrained(tmp_path / "base")
    (tmp_path / "base/tokenizer.json").touch()
    (tmp_path / "bad.conllu").write_text("not a treebank\n")
    options = ("--base", tmp_path / "base", "-o", tmp_path / "x.sft", "--gradient-checkpointing", "--device", "cpu")
    for objective in ("--dep", "--pos"):
        done = sftkit("train", objective, tmp_path / "bad.conllu", *options)
        assert done.status == 1
        assert "transformers has none for" in done.stderr
        assert "AlbertFor" in done.stderr


def test_a_head_that_was_learned_while_products_were_scaled_is_refused(
    tmp_path: Path, pico_base: Path, folder: Path, treebank: Path
) -> None:
    new = {"arc_biaffine": "arcs", "relation_biaffine": "relations", "relation_linear": "relations_of_words"}
    sft = read(folder / "dep.sft")
    head = {f"{new[name.split('.')[0]]}.{name.split('.')[1]}": values for name, values in sft.head.items()}
    write(tmp_path / "old.sft", replace(sft, head=head))
    done = sftkit("evaluate", pico_base, tmp_path / "old.sft", "--dep", treebank)
    assert done.status == 1
    assert "earlier sftkit" in done.stderr
    assert "Train it anew" in done.stderr
    assert sftkit("compose", pico_base, tmp_path / "old.sft", "-o", tmp_path / "old").status == 0
    done = sftkit("evaluate", tmp_path / "old", "--dep", treebank)
    assert done.status == 1
    assert "nothing brings a trained head for --dep" in done.stderr


def test_greedy_and_paper_compat_are_options_of_evaluate(folder: Path, treebank: Path) -> None:
    found = scores(folder / "parser", "--dep", treebank, "--decode", "greedy", "--paper-compat")
    assert set(found) == {"uas", "las"}
    refused = sftkit("evaluate", folder / "parser", "--pos", treebank, "--decode", "greedy")
    assert refused.status == 2


def test_a_subtype_that_was_not_learned_is_an_error_of_the_parser(tmp_path: Path, folder: Path, treebank: Path) -> None:
    (tmp_path / "x.conllu").write_text(treebank.read_text().replace("\tdep\t", "\tdep:own\t"))
    assert scores(folder / "parser", "--dep", tmp_path / "x.conllu")["las"] > 0.9
    assert scores(folder / "parser", "--dep", tmp_path / "x.conllu", "--subtypes")["las"] < 0.5


def test_subtypes_are_learned_if_they_are_asked_for(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    (tmp_path / "x.conllu").write_text(treebank.read_text().replace("\tdep\t", "\tdep:own\t"))
    sft = train(tmp_path / "x.conllu", tmp_path / "x.sft", pico_base, "--subtypes")
    assert read(sft).metadata.labels[-1] == "dep:own"
    assert scores(pico_base, sft, "--dep", tmp_path / "x.conllu", "--subtypes")["las"] > 0.9
    assert scores(pico_base, sft, "--dep", treebank)["las"] > 0.9


def test_a_tagger_is_no_parser(tmp_path: Path, pico_base: Path, folder: Path, treebank: Path) -> None:
    done = sftkit("evaluate", folder / "parser", "--pos", treebank)
    assert done.status == 1
    assert "Add an SFT trained with --pos" in done.stderr
    done = sftkit("evaluate", pico_base, folder / "dep.sft", "--pos", treebank)
    assert "was trained with --dep, not --pos" in done.stderr


def test_a_tree_that_is_none_is_told_by_line(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    (tmp_path / "bad.conllu").write_text(treebank.read_text().replace("\t2\tdep", "\t9\tdep", 1))
    done = sftkit("train", "--dep", tmp_path / "bad.conllu", "--base", pico_base, "-o", tmp_path / "x.sft")
    assert done.status == 1
    assert "line 5: HEAD is 9" in done.stderr


def test_subtypes_that_only_held_out_sentences_have_are_not_learned(tmp_path: Path, pico_base: Path) -> None:
    row = "{}\t{}\t_\t_\t_\t_\t{}\t{}\t_\t_\n"
    sentences = [row.format(1, "ta", 0, "root") + row.format(2, "mi", 1, f"obl:t{i}") for i in range(20)]
    (tmp_path / "x.conllu").write_text("\n".join(sentences) + "\n")
    options = ("--base", pico_base, "--steps", 2, "--k", 9, "--method", "random", "--device", "cpu", "--subtypes")
    done = sftkit("train", "--dep", tmp_path / "x.conllu", "-o", tmp_path / "x.sft", *options)
    assert done.status == 0, done.stderr
    assert len(SftFile(tmp_path / "x.sft").metadata.labels) == len(RELATIONS) + 19


def test_a_parser_that_is_best_when_its_head_alone_has_moved_is_told_so(
    tmp_path: Path, pico_base: Path, treebank: Path
) -> None:
    quick = ("--steps", 3, "--eval-every", 1, "--k", 50, "--lr", "1e-9", "--device", "cpu", "--quiet")
    done = sftkit("train", "--dep", treebank, "-o", tmp_path / "x.sft", "--base", pico_base, *quick)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "Nothing had moved by step 1, the best of 3" in done.stderr
    assert "--eval-every" in done.stderr
