"""Everything that a run has before it trains: data, base, tokenizer, what may move, features, and K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import mul
from typing import Any

import torch
from torch import nn
from torch.utils.data import ConcatDataset

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import check_belongs
from sftkit.errors import SettingsError
from sftkit.format.files import SftFile
from sftkit.modeling.apply import add_differences
from sftkit.modeling.backbone import backbone_parameters, widen_head
from sftkit.modeling.linked import is_added
from sftkit.modeling.load import (
    check_checkpointing,
    check_output_matrix,
    device_of,
    fit_tokenizer,
    load_model,
    load_tokenizer,
    longest,
)
from sftkit.modeling.sparse import SparseDelta, SparsePhi
from sftkit.tasks.base import Objective
from sftkit.tasks.readers.sources import FEW_HELD_OUT
from sftkit.tasks.registry import objective_of
from sftkit.training import memory
from sftkit.training.checks import TWO_PHASES
from sftkit.training.engine.callbacks import check_loggers
from sftkit.training.engine.order import Order, shares
from sftkit.training.engine.ranks import world
from sftkit.training.engine.sharded import shard, share_out_phi, whole
from sftkit.training.engine.together import device_here, has_bf16
from sftkit.training.observer import Observer, Plan
from sftkit.training.selection.masks import avoided_by, biases, positions_of
from sftkit.training.selection.movable import Movable, default_k, freeze
from sftkit.training.selection.scores import Selection
from sftkit.training.settings import Settings
from sftkit.training.sources import SourceSfts

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Prepared:
    """A run's data and model, loaded and checked."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        """Load everything, the cheap and the likely to fail first.

        Raises:
            SftkitError: of the kind that fits, for data, bases, SFTs and settings that cannot be.
        """
        self.settings, self.observer = settings, observer
        self.most_steps: int | None = None  # of a phase, whatever the settings say: a rehearsal's
        self.objective: Objective = objective_of(settings.objective, settings.options)
        self.objective.watch = observer.reading
        self._load_data()
        self.sfts = self._open_sfts()
        self._load_model()
        self._make_features()

    def _load_data(self) -> None:
        objective, settings = self.objective, self.settings
        device_of(settings.device)  # what is not there is better told before anything is read
        check_loggers(settings.report_to)
        if settings.checkpoint_gradients:
            check_checkpointing(settings.base, objective.auto_class, trust_remote_code=settings.trust_remote_code)
        self.observer.loading("data")
        self.names = [*settings.data, *(source.data for source in settings.sources)]
        rows = [objective.read([name]) for name in self.names]
        if settings.dev:
            dev = [objective.read(settings.dev)]
        else:
            split = [
                objective.held_out(each, settings.held_out, settings.seed, name)
                for each, name in zip(rows, self.names, strict=True)
            ]
            rows, dev = [training for training, _ in split], [held_out for _, held_out in split]
        # under an SFT each, sources are scored one by one
        self.dev_rows = dev if settings.sources else [objective.joined(dev)]
        self.train_rows = rows
        apart = settings.dev or objective.new_labels
        labelled = self.train_rows if apart else [*self.train_rows, *dev]
        self.objective = objective.with_labels(objective.labels_in(objective.joined(labelled)))
        self.objective.check_labels(objective.joined(dev), settings.dev or self.names)
        for text in objective.reading_notes():
            self.observer.note(text)

    def _load_model(self) -> None:
        settings, objective = self.settings, self.objective
        self.observer.loading("base")
        self.checkpoint = Checkpoint(settings.base)
        trusted = settings.trust_remote_code
        self.tokenizer = load_tokenizer(settings.base, words=objective.takes_words, trust_remote_code=trusted)
        dtype = _DTYPES[settings.base_dtype]
        loaded = load_model(
            settings.base, objective.auto_class, seed=settings.seed, dtype=dtype, trust_remote_code=trusted,
            **objective.config(),
        )  # fmt: skip
        check_output_matrix(loaded, settings.base)
        self.model = loaded.model
        self.max_length = min(settings.max_length, longest(self.model, self.tokenizer))
        fit_tokenizer(self.tokenizer, self.model, settings.base)
        if not settings.sources and self.sfts[0] is not None:
            add_differences(self.model, [Weighted(self.sfts[0], settings.source_weight, str(settings.source_sft))])
        # biases of norms are among those that BitFit tunes (Ben Zaken et al. 2022, section 3)
        norms = settings.train_norms or (settings.method == "bitfit" and objective.is_task)
        self.movable: Movable = freeze(
            self.model, is_task=objective.is_task, patterns=settings.freeze, train_norms=norms
        )
        widen_head(self.model, self.movable.untied)
        device = device_here(device_of(settings.device))
        self.model.to(device)  # type: ignore[arg-type]  # what is made beside it is made there
        self.backbone = backbone_parameters(self.model)  # before φ is put on, which hides them
        self.avoided = avoided_by(settings.avoid, self.movable.maskable, self.backbone)

    def share_out(self) -> None:
        """Shard the model over the processes; ``maskable`` and ``trainable`` are DTensors from now on."""
        self.backbone = {}  # nothing may hold the weights whole
        shard(self.model)
        self.movable = replace(self.movable, maskable=self._maskable())

    def share_out_phi(self, positions: Mapping[str, torch.Tensor]) -> SparsePhi:
        """Put φ on the model and shard both over the processes; ``maskable`` and ``backbone`` are empty from now on."""
        self.movable, self.backbone = replace(self.movable, maskable={}), {}
        return share_out_phi(self.model, positions)

    def take_back(self) -> None:
        """The model whole in every process: its backbone as it was loaded, its head as it is."""
        head = {name: whole(tensor).cpu() for name, tensor in self.head().items()}
        del self.model, self.movable, self.backbone
        self._load_model()
        for name, tensor in self.head().items():
            tensor.copy_(head[name])

    def _maskable(self) -> dict[str, nn.Parameter]:
        parameters = backbone_parameters(self.model)
        return {name: parameters[name] for name in self.movable.maskable}

    def _make_features(self) -> None:
        settings, objective = self.settings, self.objective
        self.observer.loading("features")
        if self.max_length < settings.max_length:
            self.observer.note(
                f"the base takes no more than {self.max_length:,} tokens: {self.max_length:,} is used in place of "
                f"--max-length {settings.max_length}"
            )
        sources = [objective.features(rows, self.tokenizer, self.max_length) for rows in self.train_rows]
        self.features: ConcatDataset[dict[str, Any]] = ConcatDataset(sources)
        block = settings.batch_size if settings.sources and len(sources) > 1 else 1
        self.order = Order([len(source) for source in sources], settings.seed, settings.temperature, block)
        self.evaluators = [
            objective.evaluator(rows, self.tokenizer, self.max_length, settings.seed) for rows in self.dev_rows
        ]
        for name, rows, source in zip(self.names, self.train_rows, sources, strict=True):
            for text in objective.remarks(rows, source):
                self.observer.note(f"{name}: {text}")
        for text in (text for evaluator in self.evaluators for text in evaluator.notes):
            self.observer.note(f"held-out data: {text}")
        self._told_if_few()

    def _told_if_few(self) -> None:
        """How many examples are held out is known now, of text, too."""
        held_out = sum(len(rows) for rows in self.dev_rows)
        if not self.settings.dev and held_out < FEW_HELD_OUT:
            what = "examples" if self.objective.is_task else "lines"
            self.observer.note(
                f"{what} held out to choose the best step on: {held_out}, too few to choose well. Give --dev FILE."
            )

    def _open_sfts(self) -> list[SftFile | None]:
        """The SFT of each source of data, or None."""
        settings = self.settings
        paths = [*[settings.source_sft] * len(settings.data), *(source.sft for source in settings.sources)]
        opened = {path: SftFile(path) for path in paths if path is not None}
        for text in check_belongs(settings.base, [Weighted(sft, 1.0, str(path)) for path, sft in opened.items()]):
            self.observer.note(text)
        for path, sft in opened.items():
            if sft.metadata.is_task:
                self.observer.note(f"{path} is a task's SFT (--{sft.metadata.objective}); its head is left out.")
        return [opened[path] if path is not None else None for path in paths]

    def in_turns(self, deltas: Mapping[str, SparseDelta]) -> SourceSfts | None:
        """What puts the sources' SFTs on and off, with φ on the model or not; None where no source has its own."""
        if not self.settings.sources:
            return None
        return SourceSfts(self.backbone, self.sfts, deltas)

    def trainable(self) -> dict[str, torch.Tensor]:
        """Everything that may move before φ is put on: maskable parameters by canonical name, the head by its own."""
        moving = {name: parameter.detach() for name, parameter in self.movable.maskable.items()}
        return moving | self.head()

    def head(self) -> dict[str, torch.Tensor]:
        """The head's trainable tensors, tied ones once."""
        backbone = {id(parameter) for parameter in backbone_parameters(self.model).values()}
        return {
            f"head:{name}": parameter.detach()
            for name, parameter in self.model.named_parameters()
            if id(parameter) not in backbone and parameter.requires_grad and not is_added(name)
        }

    def size_of(self, settings: Settings) -> int:
        """K: a number, a share of the backbone, what a mask has, or the paper's.

        Raises:
            SettingsError: if it is more than what may move.
        """
        if settings.method in ("bitfit", "mask"):
            return self.given_mask()[0].k
        if settings.k is not None:
            k = settings.k
        elif settings.density is not None:
            backbone = sum(parameter.numel() for parameter in backbone_parameters(self.model).values())
            k = max(1, round(settings.density * backbone))
        else:
            k = default_k(self.model, is_task=self.objective.is_task)
        free = self.free()
        if k > free:
            kept_clear = f", kept clear of: {self.movable.size - free:,}" if self.avoided else ""
            raise SettingsError(
                f"K = {k:,} is more than the {free:,} parameters that may move "
                f"(frozen: {self.movable.frozen}{kept_clear}). Ask for a lower --k or --density."
            )
        return k

    def free(self) -> int:
        """Number of entries that φ may have."""
        return self.movable.size - sum(int(where.sum()) for where in self.avoided.values())

    def given_mask(self) -> tuple[Selection, int]:
        """A mask that needs no phase 1 and no K, and how many of its positions may not move."""
        if self.settings.mask_from is None:
            return biases(self.movable.maskable, self.avoided), 0
        return positions_of(self.settings.mask_from, self.movable.maskable, self.avoided)

    def plan(self, sizes: Sequence[int]) -> Plan:
        """What the run will do, for the observer."""
        settings = self.settings
        backbone = sum(parameter.numel() for parameter in backbone_parameters(self.model).values())
        steps1 = self.steps(settings.phase1.total) if settings.method in TWO_PHASES else 0
        steps2, epoch = self.steps(settings.phase2.total), len(self.order) / self._per_step()
        return Plan(
            objective=settings.objective,
            method=settings.method,
            base=settings.base_name,
            under=tuple(str(sft) for sft in (settings.source_sft, *(source.sft for source in settings.sources)) if sft),
            sizes=tuple(sizes),
            backbone=backbone,
            maskable=self.movable.size,
            head=sum(tensor.numel() for tensor in self.head().values()),
            frozen=self.movable.frozen,
            train=sum(map(len, self.train_rows)) if self.objective.is_task else len(self.features),
            dev=sum(evaluator.examples for evaluator in self.evaluators),
            steps1=steps1,
            steps2=steps2,
            epochs1=steps1 / epoch,
            epochs2=steps2 / epoch,
            eval_every=settings.eval_every,
            rounds=settings.iterations,
            batch_size=self._per_step(),
            tokens=self._tokens(),
            bf16_faster=settings.precision == "f32" and has_bf16(self.model.device),
            device=str(self.model.device),
            processes=world(),
            **self._costs(max(sizes)),
        )

    def _tokens(self) -> int:
        """Real tokens an optimizer step, on average: each source's mean, as often as it is drawn."""
        counts = map(self.objective.tokens, self.features.datasets)
        means = [count / size for count, size in zip(counts, self.order.sizes, strict=True)]
        drawn = shares(self.order.sizes, self.settings.temperature)
        mean = sum(map(mul, means, drawn), 0.0) / sum(drawn)
        return round(mean * self.settings.batch_size * self.settings.accumulate * world())

    def _theta_elsewhere(self) -> int:
        """Number of entries whose θ(0) takes no memory of its own: see ``theta_of``."""
        if self.model.device.type == "cpu":
            return self.movable.size
        untied, maskable = self.movable.untied, self.movable.maskable
        return maskable[untied.input].numel() if untied is not None and untied.input in maskable else 0

    def _costs(self, k: int) -> dict[str, Any]:
        """Expected memory, and what processes send each other."""
        settings = self.settings
        sizes = memory.Sizes(
            weights=sum(parameter.nbytes for parameter in self.model.parameters()),
            maskable=self.movable.size,
            largest=max(parameter.numel() for parameter in self.movable.maskable.values()),
            head=sum(tensor.numel() for tensor in self.head().values()),
            k=k,
            elsewhere=self._theta_elsewhere(),
            width=_DTYPES[settings.base_dtype].itemsize,
            processes=world(),
            fsdp=settings.fsdp,
        )
        needed, reduced = {"phase 2": memory.phase2(sizes)}, {"phase 2": memory.reduced2(sizes)}
        if settings.method in TWO_PHASES:
            needed = {"phase 1": memory.phase1(sizes, settings)} | needed
            reduced = {"phase 1": memory.reduced1(sizes, settings)} | reduced
        return {"memory": needed, "reduced": reduced if world() > 1 else {}}

    def steps(self, total: Any) -> int:
        """Optimizer steps of a phase, given what turns an epoch's into them."""
        steps: int = total(-(-len(self.order) // self._per_step()))
        return min(steps, self.most_steps or steps)

    def _per_step(self) -> int:
        """Examples an optimizer step, of all processes."""
        return self.settings.batch_size * self.settings.accumulate * world()
