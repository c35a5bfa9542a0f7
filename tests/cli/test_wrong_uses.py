"""What a newcomer types wrongly, and what is said then: one or two lines, with what, where, which values, what next.

A table: a command, its exit status (1: it could not be done, 2: wrong usage), and words that its message has. Nothing
is left half-written, and nothing that was there is touched.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers import pico
from tests.helpers.build import save_sft

#: In the folder: base/ (a model), wide/ (of other sizes), other/ (other weights), tuned/, lang/mt.sft, models/pico/,
#: fo.sft and en.sft (languages), pos.sft (a task), empty.sft, cut.sft, corpus.txt, train.conllu, note.txt, options.toml.
TABLE = """
# names of nothing
compose base fo.stf -o m                           | 1 | fo.stf: no such file or directory. Did you mean fo.sft?
compose base fo -o m                               | 1 | fo: no such file or directory. Did you mean fo.sft?
compose base fo.sfts:0.5 -o m                      | 1 | fo.sfts: no such file or directory. Did you mean fo.sft?
compose bse fo.sft -o m                            | 1 | bse: no such file or directory. Did you mean base?
compose base/ lang/mt.stf -o m                     | 1 | lang/mt.stf: no such file or directory. Did you mean lang/mt.sft?
compose base lnag/mt.sft -o m                      | 1 | lnag/mt.sft: no such file. Did you mean lang/mt.sft?
compose ./nothing fo.sft -o m                      | 1 | ./nothing: no such file or directory
compose zzz fo.sft -o m                            | 1 | zzz: no such file or directory. | On the hub models are called owner/name
compose models/pic fo.sft -o m                     | 1 | Did you mean models/pico? | models/pic@main
compose base hf://mt.sft -o m                      | 1 | hf://mt.sft: a hub address looks like hf://owner/name
subtract tuned pos.stf -o z                        | 1 | pos.stf: no such file or directory. Did you mean pos.sft?
inspect fo.stf                                     | 1 | fo.stf: no such file. Did you mean fo.sft?
inspect base                                       | 1 | base: a directory, not an SFT
overlap fo.sft eng.sft                             | 1 | eng.sft: no such file. Did you mean en.sft?
convert fo.stf -o d                                | 1 | fo.stf: no such file or directory. Did you mean fo.sft?
convert publishd -o d.sft                          | 1 | publishd: no such file or directory. Did you mean published?
convert published -o d.sft --base bas              | 1 | bas: no such file or directory. Did you mean base?
push fo.stf me/fo                                  | 1 | fo.stf: no such file. Did you mean fo.sft?
push fo.sft fo                                     | 1 | fo: a hub address looks like hf://owner/name
pull fo.sft                                        | 1 | fo.sft: a hub address looks like hf://owner/name
pull me/fo -o fo                                   | 1 | fo: what comes from the hub is an SFT, so its name ends in .sft
data --pos train.conlu                             | 1 | train.conlu: no such file. Did you mean train.conllu?
data --pos train.conllu --base bse                 | 1 | bse: no such file or directory. Did you mean base?
data corpus.txt                                    | 2 | corpus.txt: say what for | --mlm
train --mlm corpus.tx --base base                  | 1 | corpus.tx: no such file. Did you mean corpus.txt?
train --mlm corpus.txt --base bse                  | 1 | bse: no such file or directory. Did you mean base?
train --mlm corpus.txt --base fo.sft               | 1 | fo.sft: a file; a model is a directory or a hub id
train --mlm corpus.txt --dev corpse.txt            | 1 | corpse.txt: no such file. Did you mean corpus.txt?
train --mlm corpus.txt --base base --with en.stf   | 1 | en.stf: no such file. Did you mean en.sft?
train --mlm corpus.txt --base base --avoid fo      | 1 | fo: no such file. Did you mean fo.sft?
train --mlm corpus.txt --config option.toml        | 2 | option.toml: No such file or directory. Did you mean options.toml?
evaluate base en.stf --mlm corpus.txt              | 1 | en.stf: no such file or directory. Did you mean en.sft?
evaluate base pos.sft --pos test.conllu            | 1 | test.conllu: no such file
predict base poss.sft --pos corpus.txt             | 1 | poss.sft: no such file. Did you mean pos.sft?
predict base pos.sft --pos corpus.text             | 1 | corpus.text: no such file. Did you mean corpus.txt?
help trainsfer                                     | 2 | trainsfer: there is no such page. Did you mean transfer
compse base fo.sft -o m                            | 2 | compse | Did you mean
evaluate base --poss train.conllu                  | 2 | No such option: --poss | --pos

# the default base
train --mlm corpus.txt                             | 1 | bert-base-multilingual-cased, the default, is not here and the hub cannot be reached; choose with --base or $SFTKIT_BASE
train --mlm corpus.txt --base me/mine              | 1 | me/mine: no such directory, and the hub cannot be reached

# files that are no SFTs
compose base empty.sft -o m                        | 1 | empty.sft: cut short: the file is empty
compose base cut.sft -o m                          | 1 | cut.sft: cut short: | bytes
inspect cut.sft                                    | 1 | cut.sft: cut short: | Copy or download it again
evaluate base empty.sft --mlm corpus.txt           | 1 | empty.sft: cut short
compose base note.txt -o m                         | 1 | note.txt: not a safetensors file, as models and SFTs are
compose base base/model.safetensors -o m           | 1 | base/model.safetensors: a safetensors file, but not an SFT
compose lang fo.sft -o m                           | 1 | lang: not a model directory (it has no config.json)

# other bases
compose wide fo.sft -o m                           | 1 | fo.sft was learned on base (fingerprint | wide is of other sizes | [16] there and [32] in wide
compose other fo.sft -o m                          | 1 | fo.sft was learned on another base (base) | --force
evaluate wide pos.sft --pos train.conllu           | 1 | pos.sft was learned on base (fingerprint | wide is of other sizes
evaluate other en.sft --mlm corpus.txt             | 1 | en.sft was learned on another base (base)
predict wide pos.sft --pos corpus.txt              | 1 | pos.sft was learned on base (fingerprint
train --mlm corpus.txt --base wide --with en.sft   | 1 | en.sft was learned on base (fingerprint | wide is of other sizes
evaluate lost.sft --mlm corpus.txt                 | 1 | lost.sft was learned on gone/away (fingerprint | not at hand. Name the base first: sftkit evaluate BASE lost.sft
predict lost.sft --mlm corpus.txt                  | 1 | not at hand. Name the base first: sftkit predict BASE lost.sft

# the wrong way round, too much, too little
evaluate pos.sft base --pos train.conllu           | 2 | The base comes first: sftkit evaluate base pos.sft
predict pos.sft en.sft base --pos corpus.txt       | 2 | The base comes first: sftkit predict base pos.sft en.sft
evaluate base other --pos train.conllu             | 2 | base and other are both models
evaluate base pos.sft --ner train.conllu           | 1 | pos.sft: was trained with --pos, not --ner. Score it with --pos
evaluate base pos.sft                              | 2 | Say what for: --mlm FILE or
evaluate base pos.sft --pos a --ner b              | 2 | One objective at a time: --pos and --ner were given
evaluate                                           | 2 | Missing argument | sftkit evaluate --help
compose base other -o m                            | 1 | base and other are both models | sftkit subtract base other -o d.sft
compose base other/x -o m                          | 1 | other/x: no such file or directory
compose base -o m                                  | 1 | base alone is no sum | sftkit compose base x.sft -o model/
compose base fo.sft                                | 2 | Say where to: -o model/
compose base fo.sft -o m.sft                       | 1 | A model and SFTs make a model, and m.sft is named as an SFT. Write -o m/
compose fo.sft en.sft -o m                         | 1 | SFTs alone make an SFT, and m is not named as one. Write -o m.sft
compose base:0.5 fo.sft -o m                       | 2 | only SFTs take a weight; base is a model
compose base fo.sft:half -o m                      | 2 | 'half' is not a weight; write x.sft:0.5
compose base fo.sft -o tuned                       | 1 | tuned exists already. Choose another name, or replace it with --overwrite
compose base fo.sft -o base --overwrite            | 1 | base would replace base, from which it is made
compose base fo.sft -o note.txt/m                  | 1 | note.txt is a file, not a directory
subtract base base -o d.sft                        | 1 | base and base are one and the same model: nothing differs
subtract fo.sft base -o m                          | 1 | A model cannot be taken from an SFT. The other way round: sftkit subtract base fo.sft
subtract tuned base -o d                           | 1 | The result is an SFT, and d is not named as one. Write -o d.sft
subtract base -o d.sft                             | 1 | Subtracting takes two: sftkit subtract FROM WHAT -o OUT
subtract tuned base                                | 2 | Missing option '--output'
subtract tuned base -o d.sft --density 4           | 2 | --density 4: a share above 0 and up to 1 is needed
train --mlm corpus.txt --base base -o fo           | 1 | What is learned is an SFT, and fo is not named as one. Write -o fo.sft
train --mlm corpus.txt --base base -o lang         | 1 | lang is a directory, and the output a file
train --mlm corpus.txt --base base -o fo.sft       | 1 | fo.sft exists already. Choose another name, or replace it with --overwrite
train corpus.txt --base base                       | 2 | corpus.txt: what for? | --mlm corpus.txt
train --base base                                  | 2 | Say what for: --mlm FILE
train --mlm corpus.txt --base base --lr fast       | 2 | --lr fast: a number is needed
train --mlm corpus.txt --base base --steps 1.5     | 2 | --steps 1.5: a whole number is needed
train --mlm corpus.txt --base base --density 4     | 2 | --density is 4.0; it is a share
train --mlm corpus.txt --base base --resume        | 2 | --resume goes on with the run in a directory: name it with --run-dir
train --mlm corpus.txt --base base --scheme strict | 2 | --scheme is about --ner
train --pos corpus.txt --base base -o x.sft        | 1 | corpus.txt, line 1
evaluate base pos.sft --pos corpus.txt             | 1 | corpus.txt, line 1
overlap fo.sft                                     | 1 | two
overlap fo.sft en.sft --metric lft                 | 2 | --metric lft | lift
overlap fo.sft en.sft --csv fo.sft                 | 1 | fo.sft exists already
inspect fo.sft --plot fo.doc                       | 1 | fo.doc | .png
inspect                                            | 2 | Missing argument | sftkit inspect --help
predict base pos.sft --pos corpus.txt -o note.txt  | 1 | note.txt exists already
predict base pos.sft --pos corpus.txt --qa q.json  | 2 | One objective at a time: --pos and --qa were given
data                                               | 2 | Say what for: --mlm FILE
convert fo.sft -o d.sft                            | 1 | d.sft: what comes out of fo.sft is a directory
"""
ROWS = [[*map(str.strip, row.split(" | "))] for row in TABLE.splitlines() if row and not row.startswith("#")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        base = pico.save_base(Path("base"))
        for name, changes in (("wide", {"hidden_size": 32}), ("other", {"seed": 1}), ("tuned", {"seed": 2})):
            pico.save_base(Path(name), **changes)  # type: ignore[arg-type]
        pico.save_base(Path("models/pico"))
        for seed, name in enumerate(("fo.sft", "en.sft", "lang/mt.sft")):
            Path(name).parent.mkdir(exist_ok=True)
            save_sft(Path(name), base, seed=seed)
        save_sft(Path("pos.sft"), base, objective="pos")
        elsewhere = pico.save_base(Path("gone/away"))
        save_sft(Path("lost.sft"), elsewhere)
        elsewhere.rename("models/moved")
        Path("gone").rmdir()
        Path("published").mkdir()
        Path("empty.sft").touch()
        Path("cut.sft").write_bytes(Path("fo.sft").read_bytes()[:-100])
        Path("corpus.txt").write_text("ta mi lo .\nka su ra .\n" * 30)
        Path("note.txt").write_text("This is a note, and no SFT.\n")
        Path("options.toml").write_text("steps = 2\n")
        Path("train.conllu").write_text(treebank_text(20))
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("command", "status", "words"), [(row[0], int(row[1]), row[2:]) for row in ROWS])
def test_a_wrong_use_is_told_in_two_lines_and_leaves_nothing(
    command: str, status: int, words: list[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    before = contents(made)
    done = sftkit(*shlex.split(command))
    told = done.stderr.strip()
    assert (done.status, done.stdout) == (status, ""), told
    assert 1 <= len(told.splitlines()) <= 2, told
    assert told.startswith("error: ")
    for word in words:
        assert word in told
    assert contents(made) == before


_PROBE = """
import sys
from shlex import split
from typer.testing import CliRunner
from sftkit.cli.app import app
for command in sys.stdin.read().splitlines():
    CliRunner().invoke(app, split(command))
    if "torch" in sys.modules:
        sys.exit(command)
"""


def test_all_that_needs_no_reading_of_data_is_told_before_torch_is_imported(made: Path) -> None:
    commands = [command for command, _, *words in ROWS if not any("line 1" in word for word in words)]
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    given = {"input": "\n".join(commands), "cwd": made, "env": os.environ | root}
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False, **given)
    assert done.returncode == 0, done.stderr


def test_there_are_many() -> None:
    assert len(ROWS) >= 60
