"""Treebanks as they are read, parses as they are scored and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from sftkit.errors import CheckpointError, DataError
from sftkit.modeling.parser import AutoModelForDependencyParsing
from sftkit.tasks.dep import DependencyParsing, Parse
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.parsing.features import parser_features
from sftkit.tasks.readers.conllu import RELATIONS
from tests.helpers import pico

#: Two sentences; the first has a multi-word token, an empty node and a subtype.
TREEBANK = """# sent_id = 1
1-2\ttami\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tta\t_\tNOUN\t_\t_\t2\tnsubj:pass\t2:nsubj\t_
2\tmi\t_\tVERB\t_\tMood=Ind\t0\troot\t0:root\t_
2.1\tlo\t_\tVERB\t_\t_\t_\t_\t_\t_
3\t.\t_\tPUNCT\t_\t_\t2\tpunct\t_\t_

# sent_id = 2
1\tsu\t_\tINTJ\t_\t_\t0\troot\t_\t_

"""
GOLD = [Parse([2, 0, 2], ["nsubj:pass", "root", "punct"]), Parse([0], ["root"])]


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "x.conllu").write_text(TREEBANK)
    return str(tmp_path / "x.conllu")


def objective(**options: Any) -> DependencyParsing:
    return DependencyParsing(TaskOptions(**options))


def scores(predicted: list[Parse], file: str, **options: Any) -> dict[str, float]:
    task = objective(**options)
    return task.evaluator(task.read([file]), pico.make_tokenizer(), 32, 0).scores(predicted).metrics


def make_parser(seed: int = 3) -> Any:
    config = pico.make_model().config
    config.update(DependencyParsing().config())
    torch.manual_seed(seed)
    parser: Any = AutoModelForDependencyParsing
    made = parser.from_config(config).eval()
    for name, parameter in made.named_parameters():  # as if it had been trained
        if not name.startswith("bert."):
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def test_a_row_is_a_sentence_of_syntactic_words(file: str) -> None:
    first, second = DependencyParsing().read([file])
    assert first == {"words": ["ta", "mi", "."], "heads": [2, 0, 2], "relations": ["nsubj:pass", "root", "punct"]}
    assert second["heads"] == [0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("\t2\tnsubj:pass", "\t4\tnsubj:pass", "line 3: HEAD is 4; it must be 0 or the number of one of the 3 words"),
        ("\t2\tnsubj:pass", "\t-1\tnsubj:pass", "line 3: HEAD is -1"),
        ("\t2\tpunct", "\t_\tpunct", "line 6: HEAD is missing"),
        ("\t2\tpunct", "\t2\tpunkt", "line 6: unknown relation 'punkt' in column 8"),
        ("\t2\tpunct", "\t2\t_", "line 6: unknown relation '_'"),
        ("\t0\troot\t0", "\t1\troot\t0", "line 3: from this word the heads lead round in a circle"),
        ("\t2\tpunct", "\t3\tpunct", "line 6: from this word the heads lead round in a circle"),
        ("\n3\t.", "\n4\t.", "line 6: the word's ID is 4 where 3 is due"),
        ("\t2\tpunct", "\tx\tpunct", "sentence at line 1: not valid CoNLL-U"),
    ],
)
def test_what_is_no_tree_is_named_by_line(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "bad.conllu").write_text(TREEBANK.replace(old, new, 1))
    with pytest.raises(DataError, match=f"bad.conllu, {complaint}"):
        DependencyParsing().read([str(tmp_path / "bad.conllu")])


def test_a_table_on_the_hub_is_read_as_the_file_that_it_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Dataset.from_list(
        [
            {"tokens": ["tami", "ta", "mi"], "head": ["None", "2", "0"], "deprel": ["_", "obj", "root"]},
            {"tokens": ["su"], "head": ["2"], "deprel": ["root"]},
        ]
    )
    monkeypatch.setattr("sftkit.tasks.readers.sources.datasets.load_dataset", lambda *_, **__: table.select([0]))
    (row,) = DependencyParsing().read(["hf://x/treebank:en:test"])
    assert row == {"words": ["ta", "mi"], "heads": [2, 0], "relations": ["obj", "root"]}
    monkeypatch.setattr("sftkit.tasks.readers.sources.datasets.load_dataset", lambda *_, **__: table)
    with pytest.raises(DataError, match="hf://x/treebank, row 2: HEAD is 2"):
        DependencyParsing().read(["hf://x/treebank"])


def test_all_words_are_scored_and_subtypes_ignored(file: str) -> None:
    found = [Parse([2, 0, 1], ["nsubj", "root", "punct"]), Parse([0], ["dep"])]
    assert scores(found, file) == {"uas": 3 / 4, "las": 2 / 4}


def test_subtypes_count_if_they_are_asked_for(file: str) -> None:
    found = [Parse([2, 0, 2], ["nsubj", "root", "punct"]), Parse([0], ["root"])]
    assert scores(found, file) == {"uas": 1, "las": 1}
    assert scores(found, file, subtypes=True) == {"uas": 1, "las": 3 / 4}
    assert scores(GOLD, file, subtypes=True) == {"uas": 1, "las": 1}


def test_paper_compat_leaves_root_words_out_of_the_scores_and_in_the_training_data(file: str) -> None:
    found = [Parse([2, 1, 1], ["nsubj", "dep", "punct"]), Parse([0], ["dep"])]
    assert scores(found, file, paper_compat=True) == {"uas": 1 / 2, "las": 1 / 2}
    rows, tokenizer = DependencyParsing().read([file]), pico.make_tokenizer()
    features = [objective(paper_compat=compat).features(rows, tokenizer, 32)[:] for compat in (False, True)]
    assert features[0] == features[1]


def test_labels_are_the_universal_relations_and_with_subtypes_those_of_the_data(file: str) -> None:
    rows = DependencyParsing().read([file])
    assert len(RELATIONS) == 37
    assert DependencyParsing().labels_in(rows) == RELATIONS
    assert objective(subtypes=True).labels_in(rows) == (*RELATIONS, "nsubj:pass")
    objective(subtypes=True).check_labels(rows, [file])  # a subtype that was not learned is no reason to refuse


def test_relations_are_trained_without_subtypes_unless_asked(file: str) -> None:
    rows, tokenizer = DependencyParsing().read([file]), pico.make_tokenizer()
    plain, subtypes = DependencyParsing(), objective(subtypes=True)
    subtypes = subtypes.with_labels(subtypes.labels_in(rows))
    for task, name in ((plain, "nsubj"), (subtypes, "nsubj:pass")):
        assert task.labels[task.features(rows, tokenizer, 32)[0]["labels"][0]] == name


def test_pieces_belong_to_their_words_in_the_window_that_keeps_them() -> None:
    words = ["tax", "mi", "lo"] * 4
    (sentence,) = parser_features([words], pico.make_tokenizer(), 10)
    assert len(sentence["slots"]) > 1
    slots = [slot for window in sentence["slots"] for slot in window if slot >= 0]
    assert slots == [0, *(1 + word for word, text in enumerate(words) for _ in range(2 if text == "tax" else 1))]
    assert [window[0] for window in sentence["slots"]] == [0] + [-1] * (len(sentence["slots"]) - 1)


def test_a_tokenizer_that_begins_sentences_with_a_word_is_given_a_first_token() -> None:
    from tokenizers import processors

    tokenizer = pico.make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
    (sentence,) = parser_features([["ta", "mi"]], tokenizer, 10)
    pieces = [tokenizer.convert_tokens_to_ids(piece) for piece in ("[CLS]", "ta", "mi")]
    assert sentence["input_ids"] == [pieces]
    assert sentence["slots"] == [[0, 1, 2]]
    tokenizer.cls_token = None
    with pytest.raises(CheckpointError, match="no token to begin a sentence with"):
        parser_features([["ta"]], tokenizer, 10)


def test_every_word_of_a_sentence_of_2000_words_is_parsed_into_one_tree() -> None:
    heads = [0, *range(1, 2000)]
    rows = Dataset.from_list([{"words": ["ta", "mi"] * 1000, "heads": heads, "relations": ["root"] + ["dep"] * 1999}])
    evaluator = DependencyParsing().evaluator(rows, pico.make_tokenizer(), 64, 0)
    (found,) = evaluator.predict(make_parser(), 8)
    assert len(found.heads) == len(found.relations) == 2000
    assert found.heads.count(0) == 1
    assert evaluator.scores([found]).tally.counts[0, 2] == 2000


@pytest.mark.parametrize("batch_size", [1, 7])
def test_predictions_do_not_depend_on_the_batch_size(batch_size: int, treebank: Path) -> None:
    task, model = DependencyParsing(), make_parser()
    evaluator = task.evaluator(task.read([str(treebank)]), pico.make_tokenizer(), 32, 0)
    assert evaluator.predict(model, batch_size) == evaluator.predict(model, 64)


def test_a_tree_has_one_root_and_only_it_is_called_so(treebank: Path) -> None:
    task = DependencyParsing()
    for parse in task.evaluator(task.read([str(treebank)]), pico.make_tokenizer(), 32, 0).predict(make_parser(), 16):
        assert [name == "root" for name in parse.relations] == [head == 0 for head in parse.heads]
        assert parse.heads.count(0) == 1


def test_greedy_heads_are_the_best_by_themselves_as_a_plain_loop_finds_them(treebank: Path) -> None:
    task, model, tokenizer = objective(decode="greedy"), make_parser(), pico.make_tokenizer()
    rows = task.read([str(treebank)])
    parses = task.evaluator(rows, tokenizer, 32, 0).predict(model, 16)
    for row, found in zip(rows, parses, strict=True):
        encoded = tokenizer(row["words"], is_split_into_words=True)
        ids, words = torch.tensor([encoded["input_ids"]]), encoded.word_ids()
        hidden = model.bert(input_ids=ids).last_hidden_state[0]
        pieces = [[i for i, word in enumerate(words) if word == each] for each in range(len(row["words"]))]
        vectors = torch.stack([hidden[0], *(hidden[i].mean(0) for i in pieces)])
        arcs = model.arc_biaffine(vectors[1:]) @ vectors.T
        arcs[range(len(arcs)), range(1, len(arcs) + 1)] = -torch.inf
        assert found.heads == arcs.argmax(1).tolist()


def written(source: str, predicted: list[Parse], path: Path) -> str:
    DependencyParsing().write_predictions(source, predicted, path)
    return path.read_text()


def test_predictions_take_the_place_of_heads_relations_and_the_enhanced_graph(file: str, tmp_path: Path) -> None:
    found = [Parse([3, 3, 0], ["obj", "case", "root"]), Parse([0], ["root"])]
    before, after = TREEBANK.splitlines(), written(file, found, tmp_path / "y.conllu").splitlines()
    assert after[2:4] == ["1\tta\t_\tNOUN\t_\t_\t3\tobj\t_\t_", "2\tmi\t_\tVERB\t_\tMood=Ind\t3\tcase\t_\t_"]
    assert [after[i] for i in (0, 1, 4, 6, 7)] == [before[i] for i in (0, 1, 4, 6, 7)]
