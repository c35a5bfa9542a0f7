"""What ``sftkit train`` was asked for and how it is done: cheap checks first, each SFT written once it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from sftkit.cli.options.arguments import split_weight
from sftkit.cli.run import signals
from sftkit.cli.run.bases import model_folder
from sftkit.cli.run.failures import memory_told
from sftkit.cli.show import render
from sftkit.errors import MismatchError, SettingsError, SftkitError

if TYPE_CHECKING:
    from sftkit.format.sft import CsrDifference
    from sftkit.training.lottery import Result
    from sftkit.training.settings import Settings


@dataclass(frozen=True)
class Job:
    """What the user asked for."""

    objective: str
    data: tuple[str, ...]
    base: str
    with_: str | None
    outputs: list[Path]
    densities: list[float]
    run_dir: Path | None
    resume: bool
    rewind_to: int | None
    given: dict[str, Any]
    sources: list[tuple[str, str, str]]

    def learn(self, *, overwrite: bool, quiet: bool, values: str) -> tuple[list[Result], list[Path]]:
        """Check what is cheap to check, learn, and write each SFT as soon as it is there.

        Returns:
            What was learned, and where each is: not at its output only if that was not to be, which was said then.
        """
        from sftkit.cli.show.progress import TrainingDisplay
        from sftkit.training.engine.ranks import is_first

        _check_run_dir(self.run_dir, self.outputs, resume=self.resume)
        settings = self._settings(overwrite=overwrite)
        _quiet_torch()
        results: list[Result] = []
        places: list[Path] = []
        with TrainingDisplay(quiet=quiet or not is_first(), patient=self.run_dir is not None) as display:
            display.loading("torch and transformers")
            from sftkit.training.lottery import learn_each  # they come in here, after the cheap checks

            try:
                with signals.kept(), memory_told(settings, lambda: display.plan):
                    for result in learn_each(settings, self.densities, display, run_dir=self.run_dir):
                        if is_first():
                            output = self.outputs[len(results)]
                            places.append(self._write(output, result.sft, overwrite=overwrite, values=values))
                        results.append(result)
            except KeyboardInterrupt as interrupt:
                interrupt.args = (f"{interrupt}; {self._left(places, display.unsaved())}",)
                if self.run_dir is not None and is_first():
                    _draw_so_far(self.run_dir, quiet=quiet)
                raise
        if self.run_dir is not None and is_first():
            _draw_curves(results, self.run_dir, quiet=quiet)
        return results, places

    def rehearse(self, *, quiet: bool, json: bool) -> None:
        """Do a few steps of each phase, and say what the run would do and how long it would take."""
        from sftkit.cli.show.rehearsal import RehearsalDisplay, document, show
        from sftkit.training.engine.ranks import is_first

        settings = self._settings(overwrite=False, writing=False)
        _quiet_torch()
        from sftkit.training.rehearsal import rehearse

        display = RehearsalDisplay(quiet=quiet, first=is_first(), json=json)
        with display, signals.kept(), memory_told(settings, lambda: display.rehearsed):
            found = rehearse(settings, self.densities, display)
        if not is_first():
            return
        if json:
            render.as_json(document(found))
        else:
            show(found, unsafe=self.run_dir is None)

    def _write(self, output: Path, sft: CsrDifference, *, overwrite: bool, values: str) -> Path:
        """Write an SFT, unless this very run wrote it before it was killed; where it is, and why if not there."""
        from sftkit.cli.run.keep import write_or_keep
        from sftkit.format.writing import file_digest, write
        from sftkit.storage.parts import clear

        if self.resume and not overwrite and output.is_file():
            with TemporaryDirectory() as folder:
                if file_digest(write(Path(folder) / "x.sft", sft, values=values)) == file_digest(output):
                    clear(output.resolve())  # a run that is killed once it has its name may leave its lock
                    return output
        place, trouble = write_or_keep(output, sft, values=values, overwrite=overwrite, run_dir=self.run_dir)
        if trouble:
            render.error(trouble)  # at once: what comes later may fail, too
        return place

    def _settings(self, *, overwrite: bool, writing: bool = True) -> Settings:
        from dataclasses import asdict, replace

        from sftkit.composing.record import check_names
        from sftkit.sharing.hub import local_sft
        from sftkit.storage.safefile import SafeReader
        from sftkit.tasks.readers.local import check_local, filled_file
        from sftkit.training.settings import RUN, SourceLanguage, check, settings_for

        with_, weight = split_weight(self.with_) if self.with_ else (None, None)
        named = [*self.data, *self.given.get("dev", ()), *([with_] if with_ else [])]
        named += [name for _, *pair in self.sources for name in pair]
        local = [Path(name) for name in named if "://" not in name]
        files = [*self.given.get("avoid", ()), *([self.given["mask_from"]] if "mask_from" in self.given else [])]
        begun = self.resume and self.run_dir is not None and (self.run_dir / RUN).is_file()
        check_names(_strings([named, self.base, files, self.outputs, self.run_dir]))
        # what a run that is gone on with has written already is seen to once it is there again
        _check_outputs(self.outputs if writing else (), [*local, *files, Path(self.base)], overwrite=overwrite or begun)
        source = local_sft(with_) if with_ else None
        sources = tuple(SourceLanguage(name, local_sft(sft), data) for name, sft, data in self.sources)
        try:
            settings = settings_for(
                self.objective, data=self.data, base=Path(self.base), base_name=self.base, source_sft=source,
                source_weight=weight, sources=sources, **self.given,
            )  # fmt: skip
            settings = replace(settings, rewind_to=self.rewind_to)
            check(settings)
            for density in self.densities:
                check(replace(settings, density=density))
            if writing:
                _check_logs(settings.report_to, self.run_dir)
        except SettingsError as error:  # what settings_for refuses is an option's value
            raise typer.BadParameter(str(error)) from None
        check_names(_strings(asdict(settings)))
        check_local([*self.data, *settings.dev, *(source.data for source in sources)])
        for file in files:
            SafeReader(filled_file(str(file)))
        under = [sft for sft in (source, *(each.sft for each in sources)) if sft is not None]
        return replace(settings, base=_base_under(self.base, under))

    def _left(self, written: list[Path], done: str) -> str:
        if self.run_dir is not None:
            again = "the same command" if self.resume else "the same command with --resume"
            return f"what was done is in {self.run_dir}: {again} goes on"
        lost = f"; --run-dir DIR would have kept {done}" if done else ""
        saved = f"{', '.join(map(str, written))} is there" if written else "nothing was saved"
        untouched = f", and {self.outputs[len(written)]} was not touched" if len(written) < len(self.outputs) else ""
        return f"{saved}{untouched}{lost}"


def _base_under(name: str, sfts: Sequence[Path]) -> Path:
    """A base's directory, to which these SFTs are applied while it learns."""
    from sftkit.algebra.arithmetic import Weighted
    from sftkit.composing.early import check_soon
    from sftkit.format.files import SftFile

    opened = [Weighted(SftFile(path), 1.0, str(path)) for path in sfts]
    base = model_folder(name)
    try:
        check_soon(base, opened)
    except MismatchError as error:  # to learn on a wrong base helps nobody
        raise MismatchError(str(error).replace(", or go on with --force", "")) from None
    return base


def _quiet_torch() -> None:
    """Torch's C++ warns of what the Trainer sets, in each of several processes: to be called before it is imported."""
    from sftkit.training.engine.ranks import world

    if world() > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _check_outputs(outputs: Sequence[Path], inputs: Sequence[Path], *, overwrite: bool) -> None:
    from sftkit.storage.atomic import check_output

    for output in outputs:
        check_output(output, overwrite=overwrite, inputs=inputs, directory=False)
        if output.suffix != ".sft":
            raise SettingsError(f"What is learned is an SFT, and {output} is not named as one. Write -o {output}.sft")


def _check_run_dir(run_dir: Path | None, outputs: list[Path], *, resume: bool) -> None:
    from sftkit.storage.atomic import check_folder
    from sftkit.storage.places import same
    from sftkit.training.settings import LOCK, OWNER, PART, RUN

    if resume and run_dir is None:
        raise typer.BadParameter("--resume goes on with the run in a directory: name it with --run-dir.")
    if run_dir is None:
        return
    if any(same(run_dir, output) for output in outputs):
        raise typer.BadParameter(f"--run-dir and --output both name {run_dir}; the SFT is a file of its own.")
    check_folder(run_dir)
    there = {entry.name for entry in run_dir.iterdir()} if run_dir.is_dir() else set()
    if resume and RUN not in there and not there <= {Path(RUN).with_suffix(PART).name, LOCK, OWNER}:
        raise SettingsError(f"{run_dir} holds other things than a run. Name another --run-dir.")
    if there and not resume:
        raise SettingsError(
            f"{run_dir} is not empty. Go on with the run in it with --resume, or name another --run-dir."
        )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


def _check_logs(loggers: Sequence[str], run_dir: Path | None) -> None:
    """Refuse loggers whose files would be written into the run's own folder, and go away with it."""
    if run_dir is not None or "tensorboard" not in loggers or os.environ.get("TENSORBOARD_LOGGING_DIR"):
        return
    raise SettingsError("--report-to tensorboard writes into the run's directory: add --run-dir DIR.")


def _draw_so_far(run_dir: Path, *, quiet: bool) -> None:
    from sftkit.training.engine.checkpoints import so_far

    record = so_far(run_dir)
    if any(record["history"].values()):
        _draw({"so far": record}, run_dir, quiet=quiet)


def _draw_curves(results: list[Result], run_dir: Path, *, quiet: bool) -> None:
    _draw({f"K = {result.sft.k:,}": result.sft.metadata.training for result in results}, run_dir, quiet=quiet)


def _draw(records: Mapping[str, Mapping[str, Any]], run_dir: Path, *, quiet: bool) -> None:
    """The learning curves: a picture is worth no error."""
    from sftkit.inspecting.pictures.curves import learning_curves

    try:
        learning_curves(records, run_dir / "curves.png", overwrite=True)
    except (OSError, SftkitError) as error:
        if not quiet:
            render.note(f"the learning curves could not be drawn: {error}")
