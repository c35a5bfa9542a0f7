"""Labels for text without labels: the same as evaluation finds, in the task's own format, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sftkit as library
from tests.cli.predict.conftest import TEXT, WORD, write
from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers import squad


def _evaluated(folder: Path, base: Path, name: str, source: Path, out: Path) -> str:
    more = ("--stride", 8) if name == "qa" else ()
    given = ("evaluate", base, folder / f"{name}.sft", f"--{name}", source, "--max-length", 32, *more)
    done = sftkit(*given, "--predictions", out)
    assert done.status == 0, done.stderr
    return out.read_text()


@pytest.mark.parametrize("name", ["pos", "dep"])
def test_treebanks_with_blanks_get_what_evaluation_says(
    name: str, tmp_path: Path, folder: Path, pico_base: Path, predict: Any
) -> None:
    cells = [line.split("\t") for line in treebank_text(8).split("\n")]
    blank = ["\t".join([*row[:3], "_", *row[4:6], "_", "_", *row[8:]]) if len(row) > 1 else row[0] for row in cells]
    said = predict(name, write(tmp_path, "blank.conllu", "# newdoc\n" + "\n".join(blank)))
    wanted = _evaluated(folder, pico_base, name, write(tmp_path, "x.conllu", treebank_text(8)), tmp_path / "out")
    column = {"pos": slice(3, 4), "dep": slice(6, 8)}[name]
    assert said.startswith("# newdoc\n")
    assert [line.split("\t")[column] for line in said.split("\n") if line.split("\t")[0].isdecimal()] == [
        line.split("\t")[column] for line in wanted.split("\n") if line.split("\t")[0].isdecimal()
    ]


def test_entities_of_text_and_of_words_are_what_evaluation_says(
    tmp_path: Path, folder: Path, pico_base: Path, predict: Any
) -> None:
    text = predict("ner", write(tmp_path, "x.txt", TEXT))
    words = predict("ner", write(tmp_path, "y.txt", "ta\nmi\nlo\n\n\nka\nsu\n\nra\nlo\nta\n"), "--words")
    gold = write(tmp_path, "z.txt", "ta\tO\nmi\tO\nlo\tO\n\nka\tO\nsu\tO\n\nra\tB-PER\nlo\tO\nta\tO\n\n")
    assert text == words == _evaluated(folder, pico_base, "ner", gold, tmp_path / "out")


def test_parts_of_speech_of_text_are_a_treebank_that_can_be_read(tmp_path: Path, predict: Any, pico_base: Path) -> None:
    said = write(tmp_path, "said.conllu", predict("pos", write(tmp_path, "x.txt", TEXT)))
    assert said.read_text().startswith("# text = ta mi lo\n1\tta\t_\t")
    assert sftkit("data", "--pos", said, "--json").status == 0


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl", "quoted.tsv"])
@pytest.mark.parametrize("labelled", [True, False])
def test_tables_get_their_labels_in_a_column_of_their_own_or_a_new_one(
    name: str, labelled: bool, tmp_path: Path, folder: Path, pico_base: Path, predict: Any
) -> None:
    rows = [("ta mi", "lo"), ("ka", "su"), ("ta, lo", "ra")]
    cells = [["premise", "hypothesis", "label"], *([*row, "yes"] for row in rows)]
    shown = cells if labelled else [row[:2] for row in cells]
    if name == "x.jsonl":
        text = "".join(json.dumps(dict(zip(cells[0], row, strict=False))) + "\n" for row in shown[1:])
        with_labels = "".join(json.dumps(dict(zip(cells[0], row, strict=True))) + "\n" for row in cells[1:])
    else:
        mark, between = ('"' if name != "x.tsv" else ""), "," if name == "x.csv" else "\t"
        text, with_labels = (
            "".join(between.join(f"{mark}{cell}{mark}" for cell in row) + "\n" for row in some)
            for some in (shown, cells)
        )
    said = predict("nli", write(tmp_path, name, text))
    wanted = _evaluated(folder, pico_base, "nli", write(tmp_path, f"y{name}", with_labels), tmp_path / "out")
    assert said == wanted


def test_texts_alone_are_classified_a_line_each(tmp_path: Path, predict: Any) -> None:
    said = predict("classify", write(tmp_path, "x.txt", TEXT)).split("\n")
    assert said[0] == "text\tlabel"
    assert [line.split("\t")[0] for line in said[1:-1]] == ["ta mi lo", "ka  su", "ra lo ta"]


def test_questions_with_blank_answers_are_answered_as_evaluation_answers_them(
    tmp_path: Path, folder: Path, pico_base: Path, predict: Any
) -> None:
    made = squad.numbers(5, 3, unanswered=False)
    wanted = _evaluated(folder, pico_base, "qa", squad.save(tmp_path / "x.json", made), tmp_path / "out")
    for article in made["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["qas"][0]["answers"] = [{"text": "", "answer_start": 0}]
    assert json.loads(predict("qa", squad.save(tmp_path / "y.json", made))) == json.loads(wanted)
    said = [json.loads(line) for line in predict("qa", tmp_path / "y.json", "--jsonl").splitlines()]
    assert [each.keys() for each in said] == [{"text", "labels", "scores", "start"}] * 5
    assert all(0 < each["scores"][0] < 1 for each in said)


@pytest.mark.parametrize("name", ["pos", "ner", "dep", "classify"])
def test_json_lines_have_words_or_text_labels_and_probabilities(name: str, tmp_path: Path, predict: Any) -> None:
    said = [json.loads(line) for line in predict(name, write(tmp_path, "x.txt", TEXT), "--jsonl").splitlines()]
    assert len(said) == 3
    for each in said:
        assert len(each["labels"]) == len(each["scores"])
        assert all(0 < score <= 1 for score in each["scores"])
        if name == "classify":
            assert sum(each["scores"]) == pytest.approx(1)
            assert each["scores"] == sorted(each["scores"], reverse=True)
        else:
            assert len(each["words"]) == len(each["labels"])
    assert said[1].get("words", said[1].get("text")) == (["ka", "su"] if name != "classify" else "ka  su")


@pytest.mark.parametrize("name", ["pos", "classify", "qa", "mlm"])
def test_standard_input_is_read_as_a_file_is(name: str, tmp_path: Path, predict: Any) -> None:
    text = json.dumps(squad.numbers(2, 3, unanswered=False)) if name == "qa" else TEXT
    source = write(tmp_path, "x.json" if name == "qa" else "x.txt", text)
    assert predict(name, "-", stdin=text.encode()) == predict(name, source)


def test_masks_are_filled_and_the_rest_stays_as_it_is(tmp_path: Path, predict: Any) -> None:
    source = write(tmp_path, "x.txt", "Ta [MASK] lo, mi.\n\nno mask\n[MASK] ta[MASK]\n")
    said = predict("mlm", source).split("\n")
    assert said[0].startswith("Ta")
    assert said[0].endswith(" lo, mi.")
    assert said[1:3] == ["", "no mask"]
    assert "[MASK]" not in said[3]
    objects = [json.loads(line) for line in predict("mlm", source, "--jsonl").splitlines()]
    assert [len(each["labels"]) for each in objects] == [1, 0, 0, 2]


def test_no_more_is_read_than_is_labelled_together(folder: Path, pico_base: Path) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "ta mi lo"

    said = library.predict(pico_base, endless(), objective="pos", sfts=[folder / "pos.sft"], device="cpu")
    for _ in range(1100):
        assert len(next(said)["labels"]) == 3
    assert read == 2048


def test_texts_in_memory_are_labelled(folder: Path, pico_base: Path) -> None:
    def run(name: str, texts: list[Any], **more: Any) -> list[dict[str, Any]]:
        sfts = [library.read(folder / f"{name}.sft")] if name == "ner" else [str(folder / f"{name}.sft")]
        return list(library.predict(str(pico_base), texts, objective=name, sfts=sfts, device="cpu", **more))

    assert [each["words"] for each in run("ner", ["ta mi", ["New York", "lo"]])] == [["ta", "mi"], ["New York", "lo"]]
    assert run("nli", [("ta", "mi")])[0]["text"] == ["ta", "mi"]
    assert run("classify", ["ta mi"])[0]["text"] == "ta mi"
    assert run("qa", [("mi?", "ta 42.")], stride=8, max_length=32)[0]["text"] == "mi?"


def test_an_output_is_written_whole(tmp_path: Path, predict: Any) -> None:
    source = write(tmp_path, "x.txt", TEXT)
    assert predict("pos", source, "-o", tmp_path / "out.conllu") == ""
    assert (tmp_path / "out.conllu").read_text() == predict("pos", source)


def test_the_help_speaks_of_what_is_labelled_not_of_training_data() -> None:
    told = " ".join(sftkit("predict", "--help").stdout.replace("│", " ").split())
    assert "Questions in SQuAD JSON, answers missing or blank." in told
    assert "UPOS" not in told
    assert "masked language modelling" not in told.lower()


def test_short_treebanks_and_comments_without_words_stay_as_they_are(tmp_path: Path, predict: Any) -> None:
    text = (
        "# newdoc id = x\n\n#text\n1-2\tb c\t_\t_\t_\t_\t_\t_\t_\tMisc=1\n" + WORD + "1.1\tx" + WORD[4:] + "\n# end\n"
    )
    said = predict("pos", write(tmp_path, "x", text)).split("\n")
    assert [line for line in said if not line.startswith("1\t")] == [
        "# newdoc id = x", "", "#text", "1-2\tb c\t_\t_\t_\t_\t_\t_\t_\tMisc=1", "1.1\tx\t_\t_\t_\t_\t_\t_\t_\t_", "",
        "# end", "", "",
    ]  # fmt: skip
    assert len(predict("pos", write(tmp_path, "y", text), "--jsonl").splitlines()) == 1


def test_tabs_in_texts_do_not_make_columns(tmp_path: Path, predict: Any) -> None:
    said = predict("classify", write(tmp_path, "x.txt", "ta\nmi\tlo\n"))
    assert [line.split("\t")[0] for line in said.splitlines()] == ["text", "ta", "mi lo"]


@pytest.mark.parametrize(
    ("columns", "last"), [("2,3", ["a", "ta", "mi"]), ("2,3,4", ["a", "ta", "mi"]), ("2,3,1", ["ta", "mi"])]
)
def test_columns_without_a_label_get_one(columns: str, last: list[str], tmp_path: Path, predict: Any) -> None:
    said = predict("nli", write(tmp_path, "x.tsv", "a\tta\tmi\nb\tka\tsu\n"), "--columns", columns)
    cells = said.splitlines()[0].split("\t")
    assert [cell for cell in cells if cell not in ("yes", "no")] == last
    named = predict("nli", write(tmp_path, "y.tsv", "x\ty\nta\tmi\n"), "--columns", "y,x")
    assert named.splitlines()[0] == "x\ty\tlabel"


def test_in_memory_each_text_gets_an_object_and_sfts_take_weights(folder: Path, pico_base: Path) -> None:
    def run(texts: Any, **more: Any) -> list[dict[str, Any]]:
        given = {"objective": "dep", "sfts": [(folder / "dep.sft", 1.0)], "device": "cpu"} | more
        return list(library.predict(pico_base, texts, **given))

    assert [each["words"] for each in run(["ta", "", "mi lo"])] == [["ta"], [], ["mi", "lo"]]
    assert len(run(("ta mi",), decode="greedy")) == 1
