"""Methods of other programs: their commands as cells, with the same inputs, seeds and results as all others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sftkit.storage.places import at_home
from sftkit.sweeps.cells import SweepCell, Work, cell, digest
from sftkit.sweeps.document import Task
from sftkit.sweeps.methods import External, SweepMethod
from sftkit.sweeps.places import Names, called, files_of

#: Labels of a row, and the record of its scoring.
Scored = tuple[dict[str, Any], str]


def is_there(program: str) -> bool:
    """Whether a program can be run, or read, here."""
    return at_home(program).is_file() or shutil.which(program) is not None


def external_cells(names: Names, method: SweepMethod, task: Task, place: Path) -> tuple[list[SweepCell], list[Scored]]:
    """The cells of a method, a task and a seed, and what rows they make."""
    assert method.external is not None
    made = _Maker(names, method, method.external, task, place)
    cells = list(made.cells())
    return cells, made.scored


class _Maker:
    def __init__(self, names: Names, method: SweepMethod, external: External, task: Task, place: Path) -> None:
        self._names, self._method, self._external, self._task, self._place = names, method, external, task, place
        self._base = names.filled(task.base)
        self.scored: list[Scored] = []

    def cells(self) -> Iterator[SweepCell]:
        """Those of languages, of the task, and of scoring."""
        external, names, task = self._external, self._names, self._task
        source = names.source(task)
        for size in external.sizes:
            fields = self._fields(source, size)
            before = []
            if external.language:
                before = [self._adapter(external.language, "language", source, fields | self._corpus(source))]
            fields["source-output"] = before[0][1] if before else ""
            if external.task:
                before.append(
                    self._adapter(external.task, "task", source, fields, before[0][0].record if before else "")
                )
            fields["task-output"] = before[-1][1] if external.task else ""
            yield from (each for each, _ in before)
            for language in names.languages(task):
                yield from self._score(language, size, dict(fields), [each.record for each, _ in before])

    def _fields(self, source: str, size: float) -> dict[str, str]:
        names, task = self._names, self._task
        corpora = names.sweep.corpora
        return {
            "program": str(at_home(self._external.program)), "base": self._base, "objective": task.objective,
            "train": names.filled(task.train, source), "dev": names.filled(task.dev, source),
            "data": names.filled(task.train, source), "source": source, "task": task.name, "size": f"{size:g}",
            "source-mlm": names.filled(corpora.data, source), "seed": str(names.seed),
            "language": source, "mlm": names.filled(corpora.data, source), "test": "",
            "language-output": "", "source-output": "", "task-output": "",
        }  # fmt: skip

    def _corpus(self, language: str) -> dict[str, str]:
        corpora = self._names.sweep.corpora
        size = self._external.language_size
        made = {"language": language, "mlm": self._names.filled(corpora.data, language), "objective": corpora.objective}
        return made | {"data": made["mlm"]} | ({"size": f"{size:g}"} if size is not None else {})

    def _adapter(
        self, template: str, kind: str, language: str, fields: dict[str, str], needs: str = ""
    ) -> tuple[SweepCell, str]:
        """A cell that learns something, and the folder that it is told to put it into."""
        key = digest([template, kind, {name: value for name, value in fields.items() if name in template}])
        name = f"{self._method.name}-{language if kind == 'language' else self._task.name}-{self._names.seed}-{key}"
        folder = f"{self._place}/other/{name}"
        data = fields["mlm"] if kind == "language" else fields["train"]
        made = self._cell(f"learn {name}", template, fields | {"output": folder}, [data, *([needs] if needs else [])],
                          f"{folder}.json", name)  # fmt: skip
        return made, folder

    def _score(self, language: str, size: float, fields: dict[str, str], needs: list[str]) -> Iterator[SweepCell]:
        external, names = self._external, self._names
        fields |= {"language": language, "mlm": names.filled(names.sweep.corpora.data, language)}
        fields |= {"test": names.filled(self._task.test, language)}
        needs = list(needs)
        if external.language:
            asked = self._fields(names.source(self._task), size) | self._corpus(language)
            adapter, folder = self._adapter(external.language, "language", language, asked)
            yield adapter
            needs.append(adapter.record)
            fields["language-output"] = folder
        key = digest([external.command, fields])
        name = f"{self._method.name}-{self._task.name}-{language}-{names.seed}-{key}"
        made = self._cell(f"score {self._task.name} {language} {self._method.name} {size:g}, seed {names.seed}",
                          external.command, fields | {"output": f"{self._place}/other/{name}"},
                          [fields["test"], *needs], f"{self._place}/scores/{name}.json", name)  # fmt: skip
        yield made
        labels = {
            "base": self._base, "language": language, "task": self._task.name, "method": self._method.name,
            "language_density": None, "density": None, "seed": names.seed,
        }  # fmt: skip
        self.scored.append((labels, made.record))

    def _cell(
        self, title: str, template: str, fields: dict[str, str], files: list[str], record: str, name: str
    ) -> SweepCell:
        names = self._names
        made = [each for each in files if each.startswith(f"{self._place}/")]
        own = names.own(*(each for each in files if each not in made))
        base = files_of(self._base) if names.own(self._base) else ()
        return cell(
            title, [called(template, fields)], inputs=[*own, *base, *names.made(self._base, *files), *_records(made)],
            outputs=[record], log=f"{self._place}/logs/{name}.log", work=Work("external", self._base, name),
        )  # fmt: skip


def _records(files: list[str]) -> list[str]:
    """Of files in the sweep's place, those that cells are known to make: their records."""
    return [each for each in files if each.endswith(".json") and "/worlds/" not in each]
