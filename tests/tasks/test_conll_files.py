"""Files of named entities as they are found in the wild: every scheme, and complaints that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftkit.errors import DataError
from sftkit.tasks.readers.conll import tagged_sentences, write_tags
from sftkit.tasks.readers.tag_schemes import scheme_of, to_iob2

TWO = "Wizara B-ORG\nya I-ORG\nafya I-ORG\n. O\n\nJuma B-PER\n"
SENTENCES = [(["Wizara", "ya", "afya", "."], ["B-ORG", "I-ORG", "I-ORG", "O"]), (["Juma"], ["B-PER"])]


def _write(folder: Path, text: str) -> str:
    (folder / "x.txt").write_text(text, encoding="utf-8", newline="")
    return str(folder / "x.txt")


@pytest.mark.parametrize(
    "text",
    [
        TWO,
        TWO.replace(" ", "\t"),
        TWO.replace(" ", "   "),
        TWO.replace("\n", "\r\n"),
        TWO.replace("ORG\n", "ORG\t\n"),
        f"\ufeff\n\n{TWO}\n\n",
        TWO.replace(" ", " NN X "),
        "-DOCSTART- -X- -X- O\n\n" + TWO.replace(" ", " NN X ").replace("\n\n", "\n\n-DOCSTART- -X- -X- O\n\n"),
    ],
    ids=["spaces", "tabs", "many spaces", "windows", "tabs at the end", "byte order mark", "four columns", "documents"],
)
def test_all_layouts_give_the_same_sentences(text: str, tmp_path: Path) -> None:
    assert tagged_sentences(_write(tmp_path, text)) == (SENTENCES, ())


@pytest.mark.parametrize("word", ["New York", "a\u2028b", "#", "x\u00a0y"])
def test_what_looks_like_a_separator_or_comment_is_part_of_a_word_between_tabs(word: str, tmp_path: Path) -> None:
    assert tagged_sentences(_write(tmp_path, f"{word}\tO\n")).sentences == [([word], ["O"])]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("IOB2", "B-A I-A B-A O B-B"),
        ("IOB1", "I-A I-A B-A O I-B"),
        ("BIOES", "B-A E-A S-A O S-B"),
        ("BILOU", "B-A L-A U-A O U-B"),
        ("BMES", "B-A E-A S-A O S-B"),
    ],
)
def test_every_scheme_says_the_same_in_iob2(scheme: str, tags: str) -> None:
    assert to_iob2([tags.split()]) == [["B-A", "I-A", "B-A", "O", "B-B"]]


_SAME = {
    "iob2": "B-A I-A B-A O B-B O B-C I-C I-C O B-A",
    "iob1": "I-A I-A B-A O I-B O I-C I-C I-C O I-A",
    "bioes": "B-A E-A S-A O S-B O B-C I-C E-C O S-A",
    "bilou": "B-A L-A U-A O U-B O B-C I-C L-C O U-A",
    "bmes": "B-A E-A S-A O S-B O B-C M-C E-C O S-A",
}
SAME = {scheme: tags.split() for scheme, tags in _SAME.items()}
IOB2 = SAME["iob2"]


@pytest.mark.parametrize("scheme", SAME)
@pytest.mark.parametrize("slip", ["B-A", "I-A", "E-A", "S-A", "L-A", "U-A", "M-A"])
def test_one_slip_does_not_turn_a_file_into_another_scheme(scheme: str, slip: str) -> None:
    sentences = [*[SAME[scheme]] * 3, [slip, "O"]]
    found = scheme_of(sentences)
    assert (found.name, found.tags) == (scheme, 3 * 8 + 1)
    assert found.astray <= 1
    assert to_iob2(sentences)[:3] == [IOB2] * 3


def test_a_slip_in_iob2_stays_a_slip_and_one_in_iob1_becomes_an_entity() -> None:
    assert to_iob2([IOB2, ["I-A", "I-B"]])[1] == ["I-A", "I-B"]
    assert to_iob2([SAME["iob1"], ["B-A", "I-A"]])[1] == ["B-A", "I-A"]


def test_the_scheme_that_the_user_names_is_taken_whatever_the_tags() -> None:
    assert to_iob2([["I-A", "O", "I-B"]], "iob2") == [["I-A", "O", "I-B"]]
    assert scheme_of([["I-A", "O", "I-B"]], "iob2").astray == 2


@pytest.mark.parametrize(("scheme", "slips"), [("iob1", 0), ("iob1", 1), ("iob2", 1), ("bmes", 0)])
def test_how_the_tags_were_read_and_how_many_do_not_fit_is_told(scheme: str, slips: int, tmp_path: Path) -> None:
    tags = [*SAME[scheme] * 3, "O", *(["B-A" if scheme == "iob1" else "I-A"] * slips)]
    source = _write(tmp_path, "".join(f"ta {tag}\n" for tag in tags))
    (told,) = tagged_sentences(source).notes
    assert told.startswith(f"{source}: the tags were read as {scheme.upper()}")
    assert told.endswith("--scheme-in names their scheme.")
    assert ("that do not fit it: 1 of 25" in told) == bool(slips)


def test_of_iob2_without_slips_nothing_is_told(tmp_path: Path) -> None:
    assert tagged_sentences(_write(tmp_path, TWO)).notes == ()


@given(st.lists(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3)), max_size=8), max_size=4))
def test_schemes_say_the_same_whatever_the_entities_are(sentences: list[list[tuple[str, int]]]) -> None:
    """A length of 0 is a word outside."""
    files: dict[str, list[list[str]]] = {"IOB2": [], "IOB1": [], "BIOES": []}
    for entities in sentences:
        rows: dict[str, list[str]] = {name: [] for name in files}
        for i, (kind, length) in enumerate(entities):
            follows = i > 0 and entities[i - 1][0] == kind and entities[i - 1][1] > 0
            rest = [f"I-{kind}"] * (length - 1)
            rows["IOB2"] += [f"B-{kind}", *rest] if length else ["O"]
            rows["IOB1"] += [f"{'B' if follows else 'I'}-{kind}", *rest] if length else ["O"]
            whole = [f"S-{kind}"] if length == 1 else [f"B-{kind}", *rest[1:], f"E-{kind}"]
            rows["BIOES"] += whole if length else ["O"]
        for name, row in rows.items():
            files[name].append(row)
    assert [to_iob2(tags) for tags in files.values()] == [files["IOB2"]] * 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("ya I-ORG", "ya"), "line 2: one column"),
        (("ya I-ORG", "ya NN I-ORG"), "line 2: 3 columns; line 1 has 2"),
        (("ya I-ORG", "ya ORG"), "line 2: 'ORG' in the last column is no BIO tag"),
        (("ya I-ORG", "ya I-"), "line 2: 'I-'"),
        (("ya I-ORG", " \tI-ORG"), "line 2: the word is empty"),
        ((TWO, "\n \n"), "holds no sentence"),
        ((TWO, "1\tta\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"), "line 1: '_' .* It looks like CoNLL-U, which --pos and --dep"),
    ],
)
def test_a_malformed_line_is_named(change: tuple[str, str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        tagged_sentences(_write(tmp_path, TWO.replace(*change)))


@pytest.mark.parametrize("separator", [" ", "\t", " NN O "])
def test_tags_are_written_into_the_last_column_and_nothing_else_changes(separator: str, tmp_path: Path) -> None:
    text = f"-DOCSTART- O\n\n{TWO}\n\n".replace(" ", separator)
    write_tags(_write(tmp_path, text), tmp_path / "out", [["B-X", "I-X", "O", "I-Y"], ["O"]])
    wanted = "-DOCSTART- O\n\nWizara B-X\nya I-X\nafya O\n. I-Y\n\nJuma O\n\n\n".replace(" ", separator)
    assert (tmp_path / "out").read_text() == wanted


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\t\n"])
def test_a_file_with_its_own_tags_written_into_it_is_the_same_to_the_byte(end: str, tmp_path: Path) -> None:
    source = _write(tmp_path, TWO.replace("\n", end))
    write_tags(source, tmp_path / "out", [tags for _, tags in tagged_sentences(source).sentences])
    assert (tmp_path / "out").read_bytes() == Path(source).read_bytes()


NUMBERED = "1\tKolu\tB-PER\tO\n2\tmip\tI-PER\tB-LOC\n\n1\tBesa\tO\tO\n"
READ = [(["Kolu", "mip"], ["B-PER", "I-PER"]), (["Besa"], ["O"])]


@pytest.mark.parametrize(
    "text",
    [
        NUMBERED,
        NUMBERED.replace("2\tm", "3\tm").replace("1\t", "0\t"),
        "#\thttp://x.y/z\t[2010-01-01]\n" + NUMBERED.replace("\n\n", "\n\n#\tn-tv.de vom 26.02.2005\t[2005-02-26]\n"),
        "# sent_id = 1\n# text = Kolu mip\n" + NUMBERED.replace("\tO\n", "\t-\tann\n").replace("B-LOC\n", "-\tann\n"),
        NUMBERED.replace("1\tKolu", "1-2\tKolumip\t_\t_\n1\tKolu"),
        NUMBERED.replace("\t", " "),
    ],
    ids=["GermEval without comments", "numbered from 0", "GermEval", "UNER", "multi-word tokens", "spaces"],
)
def test_where_the_first_column_numbers_the_words_they_are_in_the_second_and_that_is_told(
    text: str, tmp_path: Path
) -> None:
    found = tagged_sentences(_write(tmp_path, text))
    assert found.sentences == READ
    assert "taken from column 2, and tags from column 3" in found.notes[0]


@pytest.mark.parametrize("text", ["1996 CD I-NP O\n", "1996 CD I-NP O\n1997 CD I-NP O\n\nta NN I-NP O\n", "1 O\n2 O\n"])
def test_numbers_that_are_words_stay_words(text: str, tmp_path: Path) -> None:
    words = [line.split(" ")[0] for line in text.split("\n") if line]
    assert [word for own, _ in tagged_sentences(_write(tmp_path, text)).sentences for word in own] == words


MULTICONER = "# id 9dae83f2\tdomain=en\nta _ _ B-X\nmi _ _ I-X\n\n\n# id 11a6\tdomain=en\n# _ _ O\n#x _ _ O\n"


def test_comments_before_a_sentence_are_passed_over_and_words_that_look_like_them_are_not(tmp_path: Path) -> None:
    found = tagged_sentences(_write(tmp_path, MULTICONER))
    assert found == ([(["ta", "mi"], ["B-X", "I-X"]), (["#", "#x"], ["O", "O"])], ())


def test_the_language_before_every_word_is_taken_off_and_told(tmp_path: Path) -> None:
    text = "en:Kolu\tB-PER\nen::\tO\n\nzh-min-nan:10:30\tO\n"
    found = tagged_sentences(_write(tmp_path, text))
    assert [words for words, _ in found.sentences] == [["Kolu", ":"], ["10:30"]]
    assert "(en:, zh-min-nan:), as in raw WikiANN" in found.notes[0]


def test_a_colon_in_some_words_is_no_language(tmp_path: Path) -> None:
    found = tagged_sentences(_write(tmp_path, "en:Kolu O\nmip O\n"))
    assert found == ([(["en:Kolu", "mip"], ["O", "O"])], ())


def test_the_columns_that_the_user_names_are_read_and_written(tmp_path: Path) -> None:
    source = _write(tmp_path, "# c\nB-PER\tKolu\tx\nO\tmip\tx\n")
    assert tagged_sentences(source, ("2", "1")).sentences == [(["Kolu", "mip"], ["B-PER", "O"])]
    write_tags(source, tmp_path / "out", [["O", "B-LOC"]], ("2", "1"))
    assert (tmp_path / "out").read_text() == "# c\nO\tKolu\tx\nB-LOC\tmip\tx\n"


@pytest.mark.parametrize("columns", [("1", "4"), ("0", "1"), ("word", "tag"), ("1", "9" * 5000)])
def test_columns_that_are_not_there_are_told_with_how_many_there_are(columns: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 2 columns, and none is .* such as 1,2"):
        tagged_sentences(_write(tmp_path, TWO), columns)


def test_another_column_that_holds_tags_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'Kolu' in the last column is no BIO tag.*Column 1 holds .* --columns 2,1\?"):
        tagged_sentences(_write(tmp_path, "B-PER Kolu\nO mip\n"))


def test_numbered_files_are_written_as_they_are_but_for_the_tags(tmp_path: Path) -> None:
    source = _write(tmp_path, "# text = Kolu mip\n" + NUMBERED)
    write_tags(source, tmp_path / "out", [["O", "B-X"], ["B-Y"]])
    changed = NUMBERED.replace("B-PER", "O").replace("I-PER", "B-X").replace("Besa\tO", "Besa\tB-Y")
    assert (tmp_path / "out").read_text() == "# text = Kolu mip\n" + changed


def test_a_slip_in_a_numbered_file_is_told_where_it_is(tmp_path: Path) -> None:
    rows = [f"{i}\tta\t{'BPER' if i == 7 else 'O'}\t-\tann\n" for i in range(1, 21)]
    with pytest.raises(DataError, match="line 7: 'BPER' in column 3 is no BIO tag"):
        tagged_sentences(_write(tmp_path, "".join(rows)))
