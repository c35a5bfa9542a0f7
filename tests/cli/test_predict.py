"""Labels for text without labels: the same as evaluation finds, in the task's own format, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sftkit as library
from sftkit.cli.app import app
from sftkit.errors import SettingsError
from tests.cli.run import sftkit, train
from tests.conftest import treebank_text
from tests.helpers import squad

NER = "ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\nsu O\n\nra B-DATE\nlo O\n\n" * 6
TEXT = "ta mi lo\n\nka  su\nra lo ta\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> Path:
    """An SFT of every task, of a moment's training."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "ner").write_text(NER)
    (folder / "pos").write_text(treebank_text(12))
    (folder / "dep").write_text(treebank_text(12))
    (folder / "nli").write_text("premise\thypothesis\tlabel\n" + "ta mi\tlo\tyes\nka\tsu\tno\n" * 6)
    (folder / "classify").write_text("text\tlabel\n" + "ta mi\tyes\nka\tno\nsu\tmaybe\n" * 6)
    squad.save(folder / "qa", squad.numbers(12, 1, unanswered=False))
    for name in ("ner", "pos", "dep", "nli", "classify", "qa"):
        more = ("--stride", 8) if name == "qa" else ()
        done = train(
            f"--{name}", folder / name, "--base", pico_base, "-o", folder / f"{name}.sft", "--lr", "0.05", *more
        )
        assert done.status == 0, done.stderr
    return folder


@pytest.fixture
def predict(folder: Path, pico_base: Path) -> Callable[..., str]:
    """Runs the command for a task; what it writes to standard output."""

    def run(name: str, source: object, *arguments: object, stdin: bytes | None = None) -> str:
        sfts = [folder / f"{name}.sft"] if name != "mlm" else []
        more = ("--stride", 8) if name == "qa" else ()
        words = ["predict", pico_base, *sfts, f"--{name}", source, "--max-length", 32, *more, *arguments]
        done = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def _write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


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
    said = predict(name, _write(tmp_path, "blank.conllu", "# newdoc\n" + "\n".join(blank)))
    wanted = _evaluated(folder, pico_base, name, _write(tmp_path, "x.conllu", treebank_text(8)), tmp_path / "out")
    column = {"pos": slice(3, 4), "dep": slice(6, 8)}[name]
    assert said.startswith("# newdoc\n")
    assert [line.split("\t")[column] for line in said.split("\n") if line.split("\t")[0].isdecimal()] == [
        line.split("\t")[column] for line in wanted.split("\n") if line.split("\t")[0].isdecimal()
    ]


def test_entities_of_text_and_of_words_are_what_evaluation_says(
    tmp_path: Path, folder: Path, pico_base: Path, predict: Any
) -> None:
    text = predict("ner", _write(tmp_path, "x.txt", TEXT))
    words = predict("ner", _write(tmp_path, "y.txt", "ta\nmi\nlo\n\n\nka\nsu\n\nra\nlo\nta\n"), "--words")
    gold = _write(tmp_path, "z.txt", "ta\tO\nmi\tO\nlo\tO\n\nka\tO\nsu\tO\n\nra\tB-PER\nlo\tO\nta\tO\n\n")
    assert text == words == _evaluated(folder, pico_base, "ner", gold, tmp_path / "out")


def test_parts_of_speech_of_text_are_a_treebank_that_can_be_read(tmp_path: Path, predict: Any, pico_base: Path) -> None:
    said = _write(tmp_path, "said.conllu", predict("pos", _write(tmp_path, "x.txt", TEXT)))
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
    said = predict("nli", _write(tmp_path, name, text))
    wanted = _evaluated(folder, pico_base, "nli", _write(tmp_path, f"y{name}", with_labels), tmp_path / "out")
    assert said == wanted


def test_texts_alone_are_classified_a_line_each(tmp_path: Path, predict: Any) -> None:
    said = predict("classify", _write(tmp_path, "x.txt", TEXT)).split("\n")
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
    said = [json.loads(line) for line in predict(name, _write(tmp_path, "x.txt", TEXT), "--jsonl").splitlines()]
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
    source = _write(tmp_path, "x.json" if name == "qa" else "x.txt", text)
    assert predict(name, "-", stdin=text.encode()) == predict(name, source)


def test_masks_are_filled_and_the_rest_stays_as_it_is(tmp_path: Path, predict: Any) -> None:
    source = _write(tmp_path, "x.txt", "Ta [MASK] lo, mi.\n\nno mask\n[MASK] ta[MASK]\n")
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


_WORD = "1\tta" + 8 * "\t_" + "\n"
_REFUSED = {
    "documents": f"-DOCSTART- O\n\n{NER}", "comments": "# text = ta mi\n1\tta\tB-PER\n2\tmi\tO\n3\tlo\tO\n" * 2,
    "tabs": NER.replace(" ", "\t"), "uner": "1\tta\tB-PER\t-\n2\tmi\tO\t-\n" * 4, "numbered": "1\tta\n2\tmi\n" * 4,
    "blanks.tsv": "ta\t_\nmi\t_\n\n" * 4, "squad": '{"version": "1.1", "data": []}',
    "under.conllu": _WORD.replace("ta", "_") * 4, "spaces.conllu": _WORD.replace("\t", "  "),
    "ids": _WORD.replace("1\t", "1a\t"), "ids2": _WORD.replace("1\t", "2\t"), "blank": " \n\n",
    "half.jsonl": '{"text": "ta \\ud800"}\n', "digits.jsonl": f'{{"text": "ta", "n": {"7" * 5000}}}\n',
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--ner", "tagged"), 1, "has tags beside its words"),
        (("--nli", "text"), 1, "no table"),
        (("--pos", "none"), 1, "no such file"),
        (("--pos", "text", "--pos", "text"), 2, "one file at a time"),
        (("--classify", "text", "--words"), 2, "--words is about --pos"),
        (("--mlm", "long"), 1, "line 2: 42 tokens, and a window has 32"),
        (("--pos", "latin"), 1, "line 1: not UTF-8 text"),
        (("--pos", "text", "-o", "text"), 1, "text"),
        (("--ner", "tabs"), 1, "(cut -f 1) for --words"),
        (("--ner", "tagged"), 1, "(cut -d' ' -f 1) for --words"),
        (("--ner", "uner"), 1, "(cut -f 2) for --words"),
        (("--ner", "comments"), 1, "(grep -v -e '^#' | cut -f 2) for --words"),
        (("--ner", "documents"), 1, "(grep -v -e '^-DOCSTART-' | cut -d' ' -f 1) for --words"),
        (("--ner", "numbered", "--words"), 1, "has numbers beside its words"),
        (("--ner", "blanks.tsv"), 1, "It looks like a table"),
        (("--pos", "squad"), 1, "It looks like SQuAD's JSON"),
        (("--pos", "under.conllu"), 1, "4 of 4 words are _: the treebank comes without its text"),
        (("--pos", "spaces.conllu"), 1, "line 1: 1 tab-separated columns; CoNLL-U has 10"),
        (("--pos", "ids"), 1, "line 1: '1a' is no word's number"),
        (("--dep", "ids2"), 1, "line 1: the word's ID is 2 where 1 is due"),
        (("--pos", "blank"), 1, "holds no text, only blank lines"),
        (("--classify", "blank"), 1, "holds no text, only blank lines"),
        (("--classify", "half.jsonl"), 1, "line 1: no text: it holds half a character"),
        (("--classify", "digits.jsonl"), 1, "line 1: a number in it is too long"),
    ],
)
def test_what_cannot_be_labelled_is_told(
    arguments: tuple[str, ...], status: int, told: str, tmp_path: Path, folder: Path, pico_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, "tagged", NER)
    _write(tmp_path, "text", TEXT)
    _write(tmp_path, "long", "[MASK]\n" + "ta " * 40)
    (tmp_path / "latin").write_bytes(b"caf\xe9 ta\n")
    for name, made in _REFUSED.items():
        _write(tmp_path, name, made)
    sfts = [path for path in (folder / f"{arguments[0][2:]}.sft",) if path.exists()]
    done = sftkit("predict", pico_base, *sfts, *arguments, "--max-length", 32)
    assert done.status == status, done.stderr
    assert told in " ".join(done.stderr.split())
    assert _write(tmp_path, "same", TEXT).read_text() == (tmp_path / "text").read_text()


def test_an_output_is_written_whole(tmp_path: Path, predict: Any) -> None:
    source = _write(tmp_path, "x.txt", TEXT)
    assert predict("pos", source, "-o", tmp_path / "out.conllu") == ""
    assert (tmp_path / "out.conllu").read_text() == predict("pos", source)


def test_the_help_speaks_of_what_is_labelled_not_of_training_data() -> None:
    told = " ".join(sftkit("predict", "--help").stdout.replace("│", " ").split())
    assert "Questions in SQuAD JSON, answers missing or blank." in told
    assert "UPOS" not in told
    assert "masked language modelling" not in told.lower()


def _run(folder: Path, base: Path, name: str, source: Path, *arguments: object) -> tuple[str, str]:
    sfts = [folder / f"{name}.sft"] if name != "mlm" else []
    done = sftkit("predict", base, *sfts, f"--{name}", source, "--max-length", 32, *arguments)
    assert done.status == 0, done.stderr
    return done.stdout, " ".join(done.stderr.split())


def test_a_word_a_line_with_blank_lines_between_is_seen_and_told(tmp_path: Path, folder: Path, pico_base: Path) -> None:
    source = _write(tmp_path, "x.txt", "ta\nmi\nlo\n\nka\nsu\n\nra\nlo\nta\n")
    said, told = _run(folder, pico_base, "ner", source)
    assert "was read as a word a line, with blank lines between sentences (--no-words: a sentence a line)" in told
    assert (said, "") == _run(folder, pico_base, "ner", source, "--words")
    apart, told = _run(folder, pico_base, "ner", source, "--no-words")
    assert (apart.count("\n\n"), told) == (8, "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ta\nmi\nlo\nka\nsu\n", "has one word a line, and each was taken for a sentence (--words"),
        ("ta\n\nmi\n\nlo\n\nka\n\nsu\n", "has one word a line, and each was taken for a sentence (--words"),
        ("สวัสดีชาวโลกทั้งหลาย\n" * 5, "hardly a line has white space, and each was taken for one word"),
        ("ta\n\nmi lo\nka\nsu\nra\n", ""),
    ],
    ids=["list", "list with blank lines", "Thai", "text"],
)
def test_lines_of_one_word_are_told(text: str, told: str, tmp_path: Path, folder: Path, pico_base: Path) -> None:
    note = _run(folder, pico_base, "pos", _write(tmp_path, "x.txt", text))[1]
    assert told in note
    assert bool(note) == bool(told)


def test_short_treebanks_and_comments_without_words_stay_as_they_are(tmp_path: Path, predict: Any) -> None:
    text = (
        "# newdoc id = x\n\n#text\n1-2\tb c\t_\t_\t_\t_\t_\t_\t_\tMisc=1\n" + _WORD + "1.1\tx" + _WORD[4:] + "\n# end\n"
    )
    said = predict("pos", _write(tmp_path, "x", text)).split("\n")
    assert [line for line in said if not line.startswith("1\t")] == [
        "# newdoc id = x", "", "#text", "1-2\tb c\t_\t_\t_\t_\t_\t_\t_\tMisc=1", "1.1\tx\t_\t_\t_\t_\t_\t_\t_\t_", "",
        "# end", "", "",
    ]  # fmt: skip
    assert len(predict("pos", _write(tmp_path, "y", text), "--jsonl").splitlines()) == 1


@pytest.mark.parametrize(("name", "between"), [("x.csv", ","), ("x.tsv", "\t")])
def test_long_cells_are_labelled_and_cut_texts_told(
    name: str, between: str, tmp_path: Path, folder: Path, pico_base: Path
) -> None:
    long = "ta " * 50_000
    rows = [("id", "text"), ("a", long), ("b", "mi")]
    source = _write(tmp_path, name, "".join(f'"{first}"{between}"{second}"\n' for first, second in rows))
    said, told = _run(folder, pico_base, "classify", source)
    assert [line.count(between) for line in said.splitlines()] == [2, 2, 2]
    assert long in said
    assert "longer than the window and cut: 1 of 2 examples (--max-length)" in told


def test_text_without_a_mask_is_told(tmp_path: Path, folder: Path, pico_base: Path) -> None:
    said, told = _run(folder, pico_base, "mlm", _write(tmp_path, "x", "ta mi\n"))
    assert (said, "there was no [MASK] in it" in told) == ("ta mi\n", True)


def test_tabs_in_texts_do_not_make_columns(tmp_path: Path, predict: Any) -> None:
    said = predict("classify", _write(tmp_path, "x.txt", "ta\nmi\tlo\n"))
    assert [line.split("\t")[0] for line in said.splitlines()] == ["text", "ta", "mi lo"]


@pytest.mark.parametrize(
    ("columns", "last"), [("2,3", ["a", "ta", "mi"]), ("2,3,4", ["a", "ta", "mi"]), ("2,3,1", ["ta", "mi"])]
)
def test_columns_without_a_label_get_one(columns: str, last: list[str], tmp_path: Path, predict: Any) -> None:
    said = predict("nli", _write(tmp_path, "x.tsv", "a\tta\tmi\nb\tka\tsu\n"), "--columns", columns)
    cells = said.splitlines()[0].split("\t")
    assert [cell for cell in cells if cell not in ("yes", "no")] == last
    named = predict("nli", _write(tmp_path, "y.tsv", "x\ty\nta\tmi\n"), "--columns", "y,x")
    assert named.splitlines()[0] == "x\ty\tlabel"


def test_in_memory_each_text_gets_an_object_and_sfts_take_weights(folder: Path, pico_base: Path) -> None:
    def run(texts: Any, **more: Any) -> list[dict[str, Any]]:
        given = {"objective": "dep", "sfts": [(folder / "dep.sft", 1.0)], "device": "cpu"} | more
        return list(library.predict(pico_base, texts, **given))

    assert [each["words"] for each in run(["ta", "", "mi lo"])] == [["ta"], [], ["mi", "lo"]]
    assert len(run(("ta mi",), decode="greedy")) == 1


@pytest.mark.parametrize(
    ("objective", "texts", "told"),
    [
        ("pos", "ta mi", "must be a list of texts"),
        ("pos", [["ta", 1]], "must be a string or a list of words"),
        ("nli", ["ta"], "must be a pair of strings"),
        ("classify", [("ta", "mi")], "must be a string"),
        ("qa", ["ta"], "must be a pair of strings"),
        ("clm", ["ta"], "predict labels text and fills masks"),
    ],
)
def test_what_are_no_texts_is_told(objective: str, texts: Any, told: str, folder: Path, pico_base: Path) -> None:
    sfts = [path for path in (folder / f"{objective}.sft",) if path.exists()]
    with pytest.raises(SettingsError, match=told):
        list(library.predict(pico_base, texts, objective=objective, sfts=sfts, device="cpu"))
