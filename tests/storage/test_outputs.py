"""Where outputs come to stand: what is replaced and what never is, permissions, names of one file, what is left."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from safetensors import SafetensorError

from sftkit.cli.run.failures import line
from sftkit.errors import OutputExistsError
from sftkit.storage import atomic, parts, renames
from sftkit.storage.atomic import atomic_directory, atomic_file, check_output, temporary_folder
from sftkit.storage.parts import part_of
from sftkit.storage.places import check_replaceable

posix = pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")


@pytest.fixture(params=["renameat2", "without it"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that renames on conditions, and one that does not."""
    if request.param == "without it":
        monkeypatch.setattr(renames, "_renameat2", lambda *_: False)


def model(folder: Path, text: str = "old") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(text)
    return folder


Meanwhile = Callable[[], object]


def write_model(folder: Path, meanwhile: Meanwhile = dict, *, overwrite: bool = False) -> None:
    with atomic_directory(folder, overwrite=overwrite) as part:
        (part / "config.json").write_text("new")
        meanwhile()


def write_file(path: Path, meanwhile: Meanwhile = dict, *, overwrite: bool = False) -> None:
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text("new")
        meanwhile()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@posix
def test_a_replaced_file_keeps_its_permissions_and_a_new_one_has_the_usual(tmp_path: Path) -> None:
    for mode in (0o600, 0o444, 0o664):
        path = tmp_path / "x.sft"
        path.write_text("old")
        path.chmod(mode)
        with atomic_file(path, overwrite=True) as part:
            assert stat.S_IMODE(part.stat().st_mode) == 0o600  # as private as any while it is written
            part.write_text("new")
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "new")
        path.unlink()
    (tmp_path / "usual").touch()
    write_file(tmp_path / "y.sft")
    assert (tmp_path / "y.sft").stat().st_mode == (tmp_path / "usual").stat().st_mode


@posix
@pytest.mark.parametrize("made", [True, False])
def test_where_no_lock_comes_to_be_it_is_not_waited_for_ever(
    made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_lock", lambda _: None)
    if made:
        with atomic_file(tmp_path / "x") as part:
            part.write_text("new")
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
        return
    final = tmp_path / "gone" / "x"  # as /proc, where nothing can be made
    with pytest.raises(FileNotFoundError), part_of(final):
        pass


def test_a_replaced_directory_keeps_its_permissions(tmp_path: Path, system: None) -> None:
    model(tmp_path / "m").chmod(0o700)
    write_model(tmp_path / "m", overwrite=True)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o700
    assert (tmp_path / "m" / "config.json").read_text() == "new"
    assert names_in(tmp_path) == ["m"]


def test_a_file_that_appeared_meanwhile_is_not_replaced_without_leave(tmp_path: Path, system: None) -> None:
    path = tmp_path / "x.sft"
    with pytest.raises(OutputExistsError, match="exists already"):
        write_file(path, lambda: path.write_text("foreign"))
    assert path.read_text() == "foreign"
    assert names_in(tmp_path) == ["x.sft"]


def test_where_files_cannot_be_linked_they_are_renamed_and_still_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(renames, "_renameat2", lambda *_: False)
    monkeypatch.setattr(os, "link", cannot)
    write_file(tmp_path / "x.sft")
    assert (tmp_path / "x.sft").read_text() == "new"
    with pytest.raises(OutputExistsError):
        write_file(tmp_path / "y.sft", lambda: (tmp_path / "y.sft").write_text("foreign"))
    assert (tmp_path / "y.sft").read_text() == "foreign"


def test_where_a_file_system_has_no_locks_outputs_are_written_and_those_of_others_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "_acquire", none)
    write_file(tmp_path / "x.sft", lambda: write_file(tmp_path / "x.sft"), overwrite=True)
    write_model(tmp_path / "m")
    assert names_in(tmp_path) == ["m", "x.sft"]


def test_a_directory_that_appeared_meanwhile_is_not_replaced_without_leave(tmp_path: Path, system: None) -> None:
    with pytest.raises(OutputExistsError, match="exists already"):
        write_model(tmp_path / "m", lambda: model(tmp_path / "m", "foreign"))
    assert (tmp_path / "m" / "config.json").read_text() == "foreign"
    assert names_in(tmp_path) == ["m"]


def test_with_leave_a_model_that_appeared_meanwhile_is_replaced(tmp_path: Path, system: None) -> None:
    write_model(tmp_path / "m", lambda: model(tmp_path / "m", "another"), overwrite=True)
    assert (tmp_path / "m" / "config.json").read_text() == "new"


def test_a_foreign_file_that_appeared_in_a_model_that_may_be_replaced_stays_with_it(
    tmp_path: Path, system: None
) -> None:
    final = model(tmp_path / "m")
    with pytest.raises(OutputExistsError, match=r"thesis\.doc"):
        write_model(final, lambda: (final / "thesis.doc").write_text("five years"), overwrite=True)
    assert (final / "thesis.doc").read_text() == "five years"
    assert (final / "config.json").read_text() == "old"
    assert names_in(tmp_path) == ["m"]


def test_a_foreign_file_that_appears_in_the_last_moment_stays_with_it(
    tmp_path: Path, system: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = model(tmp_path / "m")
    check, calls = check_replaceable, list[Path]()

    def checked(path: Path, where: Path) -> None:
        check(path, where)
        calls.append(where)
        if len(calls) == 3:  # the last one before the exchange
            (final / "thesis.doc").write_text("five years")

    monkeypatch.setattr(atomic, "check_replaceable", checked)
    with pytest.raises(OutputExistsError, match=r"thesis\.doc"):
        write_model(final, overwrite=True)
    assert (final / "thesis.doc").read_text() == "five years"
    assert (final / "config.json").read_text() == "old"
    assert names_in(tmp_path) == ["m"]


def test_what_systems_leave_in_a_model_is_no_reason_not_to_replace_it(tmp_path: Path) -> None:
    final = model(tmp_path / "m")
    for name in (".DS_Store", "._config.json", "Thumbs.db", ".gitattributes", ".gitignore"):
        (final / name).touch()
    (final / ".cache" / "huggingface").mkdir(parents=True)
    write_model(final, overwrite=True)
    assert names_in(final) == ["config.json"]


@pytest.mark.parametrize("foreign", [".git", "notes.txt", "data"])
def test_a_model_with_something_of_somebodys_in_it_is_not_replaced(foreign: str, tmp_path: Path) -> None:
    final = model(tmp_path / "m")
    (final / foreign).mkdir()
    with pytest.raises(OutputExistsError, match=foreign):
        write_model(final, overwrite=True)


def test_what_was_put_aside_when_its_writer_was_killed_gets_its_name_back(tmp_path: Path) -> None:
    model(tmp_path / ".sftkit-m-0a1b2c3d.old")
    (tmp_path / ".sftkit-m-0a1b2c3d.lock").touch()
    model(tmp_path / ".sftkit-m-0a1b2c3d.part", "new")
    with pytest.raises(OutputExistsError, match="exists already"):
        write_model(tmp_path / "m")
    assert (tmp_path / "m" / "config.json").read_text() == "old"
    assert names_in(tmp_path) == ["m"]


def test_an_output_does_not_clear_away_what_is_of_one_with_a_longer_name(tmp_path: Path) -> None:
    model(tmp_path / ".sftkit-m-large-0a1b2c3d.old")
    write_model(tmp_path / "m")
    assert (tmp_path / "m" / "config.json").read_text() == "new"
    assert (tmp_path / ".sftkit-m-large-0a1b2c3d.old").exists()


def test_outputs_with_names_of_any_length_are_cleared_away_apart(tmp_path: Path) -> None:
    first, second = (tmp_path / f"{'ż' * 110}{last}" for last in "ab")
    with part_of(first) as part, part_of(second) as other:
        assert part.name[:40] == other.name[:40]
        assert part.name.rpartition("-")[0] != other.name.rpartition("-")[0]


@posix
def test_another_name_of_an_input_is_the_input(tmp_path: Path) -> None:
    model(tmp_path / "base")
    (tmp_path / "x.sft").write_text("old")
    os.link(tmp_path / "x.sft", tmp_path / "X.SFT")  # as a disk that tells no case apart would show it
    (tmp_path / "link").symlink_to("base", target_is_directory=True)
    for output, source in (("X.SFT", "x.sft"), ("base", "link"), ("link", "base"), ("base", "base/config.json")):
        with pytest.raises(OutputExistsError, match="from which it is made"):
            check_output(tmp_path / output, overwrite=True, inputs=[tmp_path / source])


def test_a_part_of_the_model_that_is_read_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    base = model(tmp_path / "base")
    for name in ("model.safetensors", "x.sft"):
        (base / name).touch()
    with pytest.raises(OutputExistsError, match="a part of"):
        check_output(base / "model.safetensors", overwrite=True, inputs=[base], directory=False)
    check_output(base / "x.sft", overwrite=True, inputs=[base], directory=False)


def test_an_input_in_the_home_folder_is_known_by_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.sft").write_text("old")
    with pytest.raises(OutputExistsError, match="from which it is made"):
        check_output(tmp_path / "x.sft", overwrite=True, inputs=[Path("~/x.sft")])


def test_what_the_system_says_of_a_temporary_folder_names_it_and_of_an_output_in_it_that() -> None:
    def fails(error: Exception) -> OSError:
        with pytest.raises(OSError, match="No space") as told, temporary_folder():
            raise error
        assert told.value.filename is not None
        return told.value

    rust = "Error while serializing: I/O error: No space left on device (os error 28)"
    for error in (OSError(errno.ENOSPC, "No space left on device"), SafetensorError(rust)):
        found = fails(error)
        assert (found.errno, Path(found.filename).exists()) == (errno.ENOSPC, False)
        assert "TMPDIR" in line(found)
    assert fails(OSError(errno.ENOSPC, "No space left on device", "output")).filename == "output"
    with pytest.raises(SafetensorError), temporary_folder():
        raise SafetensorError("something else")


def test_what_the_system_says_of_a_part_is_said_of_the_output(tmp_path: Path) -> None:
    base = model(tmp_path / "base")

    def full(*names: object) -> OSError:
        error = OSError(errno.ENOSPC, "No space left on device")
        if names:
            error.filename, error.filename2 = names
        return error

    with pytest.raises(OSError, match=r"x\.sft'$") as told, atomic_file(tmp_path / "x.sft") as part:
        raise full()
    assert told.value.filename == str(tmp_path / "x.sft")
    with pytest.raises(OSError, match="No space") as told, atomic_directory(tmp_path / "m") as part:
        raise full(base / "config.json", part / "config.json")  # as shutil has it: where from, and where to
    assert told.value.filename == str(tmp_path / "m" / "config.json")
    with pytest.raises(FileNotFoundError) as missing, atomic_file(tmp_path / "x.sft"):
        (tmp_path / "none").read_text()
    assert missing.value.filename == str(tmp_path / "none")
    shutil.rmtree(base)
    assert names_in(tmp_path) == []


def fail(output: Any, path: Path, meanwhile: Meanwhile) -> None:
    with output(path):
        meanwhile()
        raise ValueError("no")


@pytest.mark.parametrize("output", [atomic_file, atomic_directory])
def test_folders_above_an_output_are_made_and_go_again_if_it_does_not_come_to_be(output: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        fail(output, tmp_path / "new" / "er" / "x", dict)
    assert not (tmp_path / "new").exists()
    with output(tmp_path / "new" / "er" / "x"):
        pass
    assert (tmp_path / "new" / "er" / "x").exists()


def test_a_folder_into_which_somebody_put_something_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        fail(atomic_file, tmp_path / "new" / "er" / "x", lambda: (tmp_path / "new" / "other").write_text("theirs"))
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["other"]
