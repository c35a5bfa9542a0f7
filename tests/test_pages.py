"""Every command and example in the README and on the pages works as it is written, on small data, in few steps."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sftkit
from sftkit.cli.app import SUMMARIES, app, built
from sftkit.cli.commands.help import PAGES
from tests import options_page
from tests.conftest import treebank_text
from tests.helpers import pico, scores

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = Path(sftkit.__file__).parent / "docs"
ALL = (README, *(DOCS / f"{name}.md" for name in PAGES))
# what a newcomer trains for hours is trained here for two steps
QUICK = {"train": ["--steps", "2", "--min-steps", "0", "--device", "cpu"], "demo": ["--quick"]}


def blocks(kind: str, page: Path = README) -> list[str]:
    """The fenced blocks that follow the comment ``<!-- kind -->``."""
    return re.findall(rf"<!-- {re.escape(kind)} -->\n```\w+\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every ``sftkit`` command of the README's sessions was run."""
    folder = tmp_path_factory.mktemp("session")
    pico.save_base(folder / "pico")
    for name in ("mt.txt", "en.txt"):
        (folder / name).write_text("".join(f"ta mi lo mi{i % 7} ka{i % 5}.\n" for i in range(60)))
    for name in ("en-train", "en-dev", "mt-test"):
        (folder / f"{name}.conllu").write_text(treebank_text(20))
    (folder / "swa.txt").write_text("ta B-PER\nmi I-PER\n\nka B-LOC\nlo B-DATE\n\n" * 10)
    (folder / "en-nli.tsv").write_text("text_a\ttext_b\trelation\n" + "ta mi\tta\t0\nlo\tka su\t1\n" * 10)
    scores.write(folder / "results.csv", scores.sweep())
    run_all(README, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("tasks", "lottery", "random"):
            Path(name).mkdir()
        run("sftkit train --ner swa.txt -o tasks/ner.sft")
        shutil.copyfile("swa.txt", "mt-test.txt")
        shutil.copyfile("pos.sft", "tasks/pos.sft")
        for name in ("lottery/mt-1.sft", "lottery/mt-2.sft", "random/mt-1.sft", "random/mt-2.sft"):
            shutil.copyfile("mt.sft", name)
    return folder


def run_all(page: Path, folder: Path) -> None:
    """Run every line of a page's sessions in a folder; the base that they name is the pico model there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in "".join(blocks("session", page)).splitlines():
            if not line.startswith("export SFTKIT_BASE="):
                run(line)


def run(line: str) -> None:
    program, command, *arguments = shlex.split(line.replace("$SFTKIT_BASE", "pico"))
    assert program == "sftkit", line
    done = CliRunner(env={"SFTKIT_BASE": "pico"}).invoke(app, [command, *arguments, *QUICK.get(command, [])])
    assert done.exit_code == 0, f"{line}\n{done.output}"


def test_the_sessions_leave_what_they_say(session: Path) -> None:
    for name in ("mt.sft", "en.sft", "pos.sft", "mt-quick.sft", "maltese-tagger/config.json"):
        assert (session / name).exists()


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run(name: str, session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / f"{name}.md"
    if "<!-- session" not in page.read_text(encoding="utf-8"):
        return
    folder = Path(shutil.copytree(session, tmp_path / "session"))
    run_all(page, folder)
    monkeypatch.chdir(folder)
    run_python(page)


def test_the_python_examples_of_the_readme_run(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(session)
    run_python(README)


def run_python(page: Path) -> None:
    for code in blocks("session: python", page):
        # φ of a few steps may not reach the layer that the example names
        exec(code.replace("encoder.layer.0.output.dense.weight", _a_parameter(Path("mt.sft"))), {})


def _a_parameter(path: Path) -> str:
    from sftkit.format.files import SftFile

    return SftFile(path).names[0]


def test_the_set_up_commands_install_with_the_tested_versions() -> None:
    for kind in ("set-up: demo", "set-up: tests"):
        (command,) = blocks(kind)
        assert command.count("\n") == 1
        assert "-c tests/constraints.txt" in command
    assert "sftkit demo" in blocks("set-up: demo")[0]
    assert "-m pytest" in blocks("set-up: tests")[0]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    options = {
        each for name in SUMMARIES for param in built(name).params for each in (*param.opts, *param.secondary_opts)
    }
    elsewhere = {
        "--nproc-per-node",
        "--extra-index-url",
        "--local-dir",
        "--install-completion",
        "--help",
        "--long",
        "--slow",
        "--check",
        "--coverage",
        "--dist",
        "--executor",
    }
    ours = re.sub(r"\| `[^|]*\|", "|", text) if page.stem == "coming-from" else text  # what others call it
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*\b", ours)) - options - elsewhere == set()
    assert set(re.findall(r"`sftkit ([a-z]+)", text)) - set(SUMMARIES) == set()


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.stem)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_listed() -> None:
    assert sorted(path.stem for path in DOCS.glob("*.md")) == sorted(PAGES)


def test_the_page_of_options_is_current() -> None:
    assert options_page.PAGE.read_text(encoding="utf-8") == options_page.text(), "run: python -m tests.options_page"


def test_a_page_is_shown_and_a_misspelt_one_is_guessed() -> None:
    assert CliRunner().invoke(app, ["help", "glossary"]).stdout.startswith("# Glossary")
    assert "transfer" in CliRunner().invoke(app, ["help"]).stdout
    assert "--mlm" in CliRunner().invoke(app, ["help", "train"]).stdout
    missed = CliRunner().invoke(app, ["help", "glosary"])
    assert missed.exit_code == 2
    assert "Did you mean glossary" in " ".join(missed.stderr.split())
