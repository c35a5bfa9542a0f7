"""The paper's recipe for each objective: what is in force where nothing else was said. No torch.

Numbers are from Ansell et al. 2022, sections 4.2 and 4.3. See docs/recipes.md for how they compare with the paper and
its authors' scripts.
"""

from __future__ import annotations

from typing import Any

#: K of the paper's experiments: a language's (section 4.2), and the largest of a task's (section 4.3), which was best.
LANGUAGE_K, TASK_K = 7_667_712, 14_155_776
#: Their backbones, mBERT and XLM-R base: model type -> (tokens, hidden size, parameters without the pooler).
PAPER_BACKBONES = {"bert": (119_547, 768, 177_262_848), "xlm-roberta": (250_002, 768, 277_453_056)}
#: The same as shares of mBERT's backbone, for all others: 4.33 % and 7.99 %.
LANGUAGE_DENSITY = LANGUAGE_K / PAPER_BACKBONES["bert"][2]
TASK_DENSITY = TASK_K / PAPER_BACKBONES["bert"][2]

_LANGUAGE = {"epochs": 100, "steps": 100_000, "min_steps": 30_000, "l1": 0.1, "eval_every": 1000}
_TASK = {"phase1_epochs": 3, "epochs": 10, "l1": 0.0, "eval_every": 250}
#: As Ebrahimi et al. 2022; the paper does so for NLI, and other texts as a whole are no different.
_SEQUENCE = {"epochs": 5, "l1": 0.0, "batch_size": 32, "lr": 2e-5, "eval_every": 625}
#: Not in the paper: that of its authors' script for SQuAD.
_ANSWERS = {"epochs": 2, "l1": 0.0, "batch_size": 12, "max_length": 384, "lr": 3e-5, "eval_every": 2000}
#: By objective: fields of :class:`~sftkit.training.settings.Settings` and :class:`~sftkit.training.length.Lengths`.
RECIPES: dict[str, dict[str, Any]] = {
    "mlm": _LANGUAGE, "clm": _LANGUAGE, "pos": _TASK, "ner": _TASK, "dep": _TASK, "nli": _SEQUENCE,
    "classify": _SEQUENCE, "qa": _ANSWERS,
}  # fmt: skip
