"""``sftkit train``: learns one SFT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.run.job import Job
from sftkit.cli.show import render
from sftkit.cli.show.training import document, show_results
from sftkit.errors import SettingsError
from sftkit.sharing.hub import DEFAULT_BASE
from sftkit.storage.atomic import check_folder
from sftkit.storage.places import same
from sftkit.training.engine.ranks import is_first
from sftkit.training.settings import LOCK, OWNER, PART, RUN


def train(
    mlm: shared.MlmFiles = None,
    clm: shared.ClmFiles = None,
    pos: shared.PosFiles = None,
    ner: shared.NerFiles = None,
    dep: shared.DepFiles = None,
    nli: shared.NliFiles = None,
    classify: shared.ClassifyFiles = None,
    qa: shared.QaFiles = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", envvar="SFTKIT_BASE", help=f"Directory or hub id.  Default: {DEFAULT_BASE}."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="X.sft", help="Default: the first data file's name with .sft."),
    ] = None,
    dev: Annotated[
        list[str] | None,
        typer.Option(
            "--dev", metavar="FILE", help="Data to choose the best step on; else 5 % are held out, at most 10,000."
        ),
    ] = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="LANG.sft[:WEIGHT]",
            help="Source-language SFT, applied while training, not part of the result.",
        ),
    ] = None,
    source: shared.Sources = None,
    objective_name: shared.ObjectiveName = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="lottery|diff|random|bitfit|mask", help="How the entries are chosen: lottery."
        ),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Entries of φ; wins over --density.")] = None,
    density: Annotated[
        str | None,
        typer.Option(
            "--density",
            metavar="D[,D…]",
            help="The same as a share of the backbone; several: an SFT of each, from one phase 1.  "
            "Default: the paper's K on mBERT and XLM-R base (languages 7,667,712, tasks 14,155,776), elsewhere the "
            "shares that these are of mBERT: 0.0433 and 0.0799.",
        ),
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            "--criterion",
            metavar="change|magnitude-increase|movement|fisher",
            help="What phase 1 ranks entries by: change.",
        ),
    ] = None,
    selection: Annotated[
        str | None,
        typer.Option(
            "--selection",
            metavar="full|streaming",
            help="Phase 1 as full fine-tuning; or, for models too large for that, gradients at θ.",
        ),
    ] = None,
    mask_from: Annotated[
        Path | None,
        typer.Option("--mask-from", metavar="FILE", help="Take the positions of an SFT, or a file of boolean tensors."),
    ] = None,
    avoid: Annotated[
        list[Path] | None,
        typer.Option("--avoid", metavar="FILE", help="Keep clear of an SFT's or mask's positions."),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            "--iterations",
            help="Rounds of phase 1 that narrow the choice to K (the paper's code lets it grow).  Default: 1.",
        ),
    ] = None,
    rewind_to: Annotated[
        str | None,
        typer.Option(
            "--rewind-to",
            metavar="STEP|end",
            help="Begin phase 2 from this step of phase 1; end: rewind the learning rate only.  Default: 0.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Most steps of each phase.  Default: languages 100,000; tasks none.")
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            "--epochs",
            help="Most epochs of each phase.  "
            "Default: languages 100; pos, ner, dep 10 (phase 1: 3); nli, classify 5; qa 2.",
        ),
    ] = None,
    min_steps: Annotated[
        int | None,
        typer.Option(
            "--min-steps",
            help="Fewest steps, whatever --epochs says.  "
            "Default: languages 30,000; 0 once --steps or --epochs is given.",
        ),
    ] = None,
    phase1_steps: Annotated[int | None, typer.Option("--phase1-steps", help="Most steps of phase 1.")] = None,
    phase1_epochs: Annotated[float | None, typer.Option("--phase1-epochs", help="Most epochs of phase 1.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Sequences a step.  Default: 8; nli, classify 32; qa 12.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", help="Tokens a sequence.  Default: 256; qa 384.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option("--lr", help="Learning rate, linear to 0.  Default: 5e-05; nli, classify 2e-05; qa 3e-05."),
    ] = None,
    l1: Annotated[
        float | None,
        typer.Option(
            "--l1",
            help="λ of the pull λ/N·|θ-θ(0)| towards θ(0); N: the backbone's parameters that may move.  "
            "Default: 0.1 language, 0 task.",
        ),
    ] = None,
    l0: Annotated[
        float | None,
        typer.Option("--l0", help="λ of DiffPruning's penalty an entry that is not 0.  Default: 1.25e-07."),
    ] = None,
    eval_every: Annotated[
        int | None,
        typer.Option(
            "--eval-every",
            help="Steps between evaluations.  Default: 1000 language, 250 task, nli and classify 625, qa 2000.",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option("--freeze", metavar="REGEX", help="Parameters that must not move, by canonical name."),
    ] = None,
    train_norms: Annotated[
        bool, typer.Option("--train-norms", help="Let layer norms move, which are frozen otherwise.")
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", help="T: a file of n examples is drawn in proportion to n^(1/T).  Default: 1, all once."
        ),
    ] = None,
    accumulate: Annotated[int | None, typer.Option("--accumulate", help="Batches a step.  Default: 1.")] = None,
    precision: Annotated[str, typer.Option("--precision", metavar="f32|bf16|f16", help="Of the computation.")] = "f32",
    base_dtype: Annotated[
        str | None, typer.Option("--base-dtype", metavar="f32|bf16", help="In what the base is held; φ is always f32.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute activations twice, to save memory.")
    ] = False,
    fsdp: Annotated[
        bool, typer.Option("--fsdp", help="Share weights, gradients and moments out over processes (FSDP2).")
    ] = False,
    report_to: Annotated[
        list[str] | None, typer.Option("--report-to", metavar="NAME", help="A logger, such as tensorboard or wandb.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="Keep checkpoints and learning curves here."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what the run would do, and how long it would take; learn and write nothing."
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --run-dir, if it has begun.")] = False,
    map_label: shared.MapLabel = None,
    columns: shared.Columns = None,
    where: shared.Where = None,
    scheme_in: shared.SchemeIn = "",
    strict_answers: shared.StrictAnswers = False,
    language: shared.Language = "",
    subtypes: shared.Subtypes = False,
    decode: shared.Decode = "tree",
    paper_compat: shared.PaperCompat = False,
    scheme: shared.Scheme = None,
    stride: shared.Stride = 128,
    max_lines: shared.MaxLines = None,
    pack: shared.Pack = True,
    streaming: shared.Streaming = False,
    config: shared.Config = None,
    values: Annotated[str, typer.Option("--values", metavar="f32|bf16|f16", help="How φ is stored.")] = "f32",
    seed: shared.Seed = 42,
    device: shared.Device = "auto",
    trust_remote_code: shared.TrustRemoteCode = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Learn one SFT: tune all, keep the K entries that moved most, rewind, tune only those.

    \b
    Examples:
      sftkit train --mlm corpus.txt
      sftkit train --mlm mt.txt --base mmt-small/ --steps 2000 --lr 5e-4 -o mt.sft
      sftkit train --pos train.conllu --dev dev.conllu --with en.sft -o pos.sft
      sftkit train --objective pos --source en=en.sft:en.conllu --source de=de.sft:de.conllu -o pos.sft
    """
    sources = shared.parse_sources(source)
    objective, data = shared.one_objective(
        {"mlm": mlm, "clm": clm, "pos": pos, "ner": ner, "dep": dep, "nli": nli, "classify": classify, "qa": qa},
        objective_name,
        sources=sources,
    )
    options = shared.task_options(
        map_label, columns, subtypes=subtypes, decode=decode, paper_compat=paper_compat, scheme=scheme,
        stride=stride, max_lines=max_lines, pack=pack, streaming=streaming, where=where, scheme_in=scheme_in,
        strict_answers=strict_answers,
        language=language, objective=objective,
    )  # fmt: skip
    for option, value in (("--precision", precision), ("--values", values)):
        if value not in ("f32", "bf16", "f16"):
            raise typer.BadParameter(f"{option} {value}: known are f32, bf16, f16.")
    del config  # its values came in as defaults
    densities = _densities(density)
    outputs = _outputs(output or shared.default_output([*data, *(each[2] for each in sources)][0]), densities)
    if mask_from is not None:
        method = method or "mask"
    given = {
        "method": method, "k": k, "density": densities[0] if densities else None, "criterion": criterion,
        "selection": selection, "base_dtype": base_dtype, "options": options, "iterations": iterations,
        "mask_from": mask_from, "avoid": tuple(avoid) if avoid else None,
        "checkpoint_gradients": gradient_checkpointing, "fsdp": fsdp,
        "report_to": tuple(report_to) if report_to else None,
        "steps": steps, "epochs": epochs, "min_steps": min_steps, "batch_size": batch_size,
        "phase1_steps": phase1_steps, "phase1_epochs": phase1_epochs, "freeze": tuple(freeze) if freeze else None,
        "train_norms": train_norms,
        "max_length": max_length, "lr": lr, "l1": l1, "l0": l0, "eval_every": eval_every, "accumulate": accumulate,
        "temperature": temperature, "precision": precision, "seed": seed,
        "trust_remote_code": trust_remote_code,
        "device": shared.check_device(device), "dev": tuple(dev) if dev else None,
    }  # fmt: skip
    if len(densities) > 1 and k is not None:
        raise typer.BadParameter("--k is one size and --density names several: give one of them.")
    if densities and method in ("bitfit", "mask"):
        raise typer.BadParameter(f"--density: --method {method} says itself which entries φ has.")
    job = Job(
        objective, data, base or DEFAULT_BASE, with_, outputs, densities if k is None else [], run_dir, resume,
        _step(rewind_to), given, sources,
    )  # fmt: skip
    if dry_run:
        job.rehearse(quiet=quiet, json=json)
        return
    _check_run_dir(run_dir, outputs, resume=resume)
    results, places = job.learn(overwrite=overwrite, quiet=quiet, values=values)
    if not is_first():
        return
    if json:
        documents = [document(result, path) for result, path in zip(results, places, strict=True)]
        render.as_json(documents if len(densities) > 1 else documents[0])
    else:
        show_results(results, places)
    if places != outputs:
        raise typer.Exit(1)


def _densities(text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise typer.BadParameter(f"--density {text}: a share such as 0.04, or several: 0.01,0.02,0.04.") from None


def _outputs(path: Path, densities: list[float]) -> list[Path]:
    """``x.sft``; for several densities ``x-0.01.sft``, ``x-0.02.sft``."""
    if len(densities) < 2:
        return [path]
    paths = [path.with_name(f"{path.stem}-{density:g}{path.suffix}") for density in densities]
    for twice in (path for path in paths if paths.count(path) > 1):
        raise typer.BadParameter(f"--density: two shares would both be written to {twice}. Leave one of them out.")
    return paths


def _step(text: str | None) -> int | None:
    """A step of phase 1; None for its end."""
    if text is None or text == "end":
        return None if text else 0
    if not text.isdecimal():
        raise typer.BadParameter(f"--rewind-to {text}: a step of phase 1, or end.")
    return int(text)


def _check_run_dir(run_dir: Path | None, outputs: list[Path], *, resume: bool) -> None:
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
