"""``sftkit evaluate``: scores a model, or a base and SFTs composed in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli import _options, _render


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or the base that the SFTs are added to.")],
    sfts: Annotated[
        list[str] | None, typer.Argument(metavar="[X.sft[:WEIGHT]]…", help="SFTs to add, in memory.")
    ] = None,
    mlm: _options.MlmFiles = None,
    clm: _options.ClmFiles = None,
    pos: _options.PosFiles = None,
    ner: _options.NerFiles = None,
    dep: _options.DepFiles = None,
    nli: _options.NliFiles = None,
    classify: _options.ClassifyFiles = None,
    qa: _options.QaFiles = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Windows a batch; the scores do not depend on it.")
    ] = 32,
    max_length: Annotated[int, typer.Option("--max-length", min=8, help="Tokens a window.")] = 256,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Of the masks of --mlm.")] = 42,
    map_label: _options.MapLabel = None,
    columns: _options.Columns = None,
    subtypes: _options.Subtypes = False,
    decode: _options.Decode = "tree",
    paper_compat: _options.PaperCompat = False,
    stride: _options.Stride = 128,
    device: _options.Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Add SFTs to another base than theirs.")] = False,
    json: _options.Json = False,
) -> None:
    """Score a model on labelled data, or a base with SFTs that are added in memory.

    \b
    Examples:
      sftkit evaluate model/ --pos test.conllu
      sftkit evaluate mmt-small/ mt.sft pos.sft --pos test.conllu
      sftkit evaluate mmt-small/ mt.sft --mlm held-out.txt
    """
    from sftkit.cli._arguments import parse_weighted
    from sftkit.hub import resolve_model

    objective, data = _options.one_objective(
        {"mlm": mlm, "clm": clm, "pos": pos, "ner": ner, "dep": dep, "nli": nli, "classify": classify, "qa": qa}
    )
    options = _options.task_options(
        map_label, columns, subtypes=subtypes, decode=decode, paper_compat=paper_compat, stride=stride,
        objective=objective,
    )  # fmt: skip
    _options.check_device(device)
    weighted = [parse_weighted(argument) for argument in sfts or ()]
    base = resolve_model(model)
    from sftkit.evaluation.run import evaluate as run

    with _render.stderr().status("scoring …"):
        result = run(
            objective, data, base, weighted,
            batch_size=batch_size, max_length=max_length, seed=seed, device=device, force=force, options=options,
        )  # fmt: skip
    for text in result.notes:
        _render.note(text)
    if json:
        _render.as_json(
            {
                "objective": result.objective,
                "data": list(result.data),
                "examples": result.examples,
                "metrics": result.metrics,
            }
        )
        return
    names = [Path(model).name or model, *(Path(item.path).name for item in weighted)]
    _render.table(
        " + ".join(names),
        [_render.Column("data"), _render.Column("examples", True), *(_render.Column(m, True) for m in result.metrics)],
        [(", ".join(result.data), f"{result.examples:,}", *(f"{value:.4f}" for value in result.metrics.values()))],
    )
