"""What ``sftkit train`` was asked for and how it is done: cheap checks first, each SFT written once it is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer

from sftkit.cli import _signals
from sftkit.cli._arguments import local_sft, split_weight
from sftkit.errors import SettingsError

if TYPE_CHECKING:
    from sftkit.format.sft import SFT
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

    def learn(self, *, overwrite: bool, quiet: bool, values: str) -> list[Result]:
        """Check what is cheap to check, learn, and write each SFT as soon as it is there."""
        from sftkit.cli._progress import TrainingDisplay
        from sftkit.training.ranks import is_first, world

        settings = self._settings(overwrite=overwrite)
        if world() > 1:  # torch's C++ warns of what the Trainer sets, in each process
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        from sftkit.training.lottery import learn_each  # torch and transformers come in here, after the cheap checks

        results: list[Result] = []
        with TrainingDisplay(quiet=quiet or not is_first(), patient=self.run_dir is not None) as display:
            try:
                with _signals.kept():
                    for result in learn_each(settings, self.densities, display, run_dir=self.run_dir):
                        if is_first():
                            self._write(self.outputs[len(results)], result.sft, overwrite=overwrite, values=values)
                        results.append(result)
            except KeyboardInterrupt as interrupt:
                interrupt.args = (f"{interrupt}; {self._left(len(results))}",)
                if self.run_dir is not None and is_first():
                    _draw_so_far(self.run_dir)
                raise
        if self.run_dir is not None and is_first():
            _draw_curves(results, self.run_dir)
        return results

    def _write(self, output: Path, sft: SFT, *, overwrite: bool, values: str) -> None:
        """Write an SFT, unless this very run wrote it before it was killed.

        Raises:
            OutputExistsError: if there is another file and it may not be replaced.
        """
        from sftkit.format.files import file_digest, write

        if self.resume and not overwrite and output.is_file():
            with TemporaryDirectory() as folder:
                if file_digest(write(Path(folder) / "x.sft", sft, values=values)) == file_digest(output):
                    return
        write(output, sft, values=values, overwrite=overwrite)

    def _settings(self, *, overwrite: bool) -> Settings:
        from dataclasses import replace

        from sftkit.format.atomic import check_output
        from sftkit.format.safefile import SafeReader
        from sftkit.hub import resolve_model
        from sftkit.tasks.local import check_local
        from sftkit.training.checks import check
        from sftkit.training.settings import RUN, Source, settings_for

        with_, weight = split_weight(self.with_) if self.with_ else (None, None)
        named = [*self.data, *(self.given["dev"] or ()), *([with_] if with_ else [])]
        named += [name for _, *pair in self.sources for name in pair]
        local = [Path(name) for name in named if "://" not in name]
        files = [*(self.given["avoid"] or ()), *([self.given["mask_from"]] if self.given["mask_from"] else [])]
        begun = self.resume and self.run_dir is not None and (self.run_dir / RUN).is_file()
        for output in self.outputs:
            # what a run that is gone on with has written already is seen to once it is there again
            check_output(output, overwrite=overwrite or begun, inputs=[*local, *files], directory=False)
        source = local_sft(with_) if with_ else None
        sources = tuple(Source(name, local_sft(sft), data) for name, sft, data in self.sources)
        try:
            settings = settings_for(
                self.objective,
                data=self.data,
                base=Path(self.base),
                base_name=self.base,
                source_sft=source,
                source_weight=weight,
                sources=sources,
                **self.given,
            )
            settings = replace(settings, rewind_to=self.rewind_to)
            check(settings)
            for density in self.densities:
                check(replace(settings, density=density))
            _check_logs(settings.report_to, self.run_dir)
        except SettingsError as error:  # what settings_for refuses is an option's value
            raise typer.BadParameter(str(error)) from None
        check_local([*self.data, *settings.dev, *(source.data for source in sources)])
        for file in files:
            SafeReader(file)
        return replace(settings, base=resolve_model(self.base))

    def _left(self, done: int) -> str:
        if self.run_dir is not None:
            return f"what was done is in {self.run_dir}: the same command with --resume goes on"
        return f"nothing was saved, and {self.outputs[done]} was not touched"


def _check_logs(loggers: Sequence[str], run_dir: Path | None) -> None:
    """Refuse loggers whose files would be written into the run's own folder, and go away with it."""
    if run_dir is not None or "tensorboard" not in loggers or os.environ.get("TENSORBOARD_LOGGING_DIR"):
        return
    raise SettingsError("--report-to tensorboard writes into the run's directory: add --run-dir DIR.")


def _draw_so_far(run_dir: Path) -> None:
    from sftkit.plots import learning_curves
    from sftkit.training.checkpoints import so_far

    record = so_far(run_dir)
    if record["history"]:
        learning_curves({"so far": record}, run_dir / "curves.png", overwrite=True)


def _draw_curves(results: list[Result], run_dir: Path) -> None:
    from sftkit.plots import learning_curves

    records = {f"K = {result.sft.k:,}": result.sft.metadata.training for result in results}
    learning_curves(records, run_dir / "curves.png", overwrite=True)
