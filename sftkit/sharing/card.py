"""The model card of an SFT on the hub: what its metadata says, and how to use it, with sftkit and without.

Says nothing that the file does not: no licence, no language, no scores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sftkit.format.metadata import TASK_OBJECTIVES
from sftkit.inspecting.facts import facts, share
from sftkit.inspecting.training_facts import training_facts
from sftkit.sharing.hub import looks_like_hub_id
from sftkit.shown import in_markdown, shown_on_a_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftkit.inspecting.summary import DiffSummary

_OBJECTIVES = {
    "mlm": "masked language modelling",
    "clm": "causal language modelling",
    "pos": "part-of-speech tagging",
    "ner": "named entity recognition",
    "dep": "dependency parsing",
    "nli": "natural language inference",
    "classify": "text classification",
    "qa": "extractive question answering",
}

#: What labels text with a composed model by transformers alone. Parsers have no pipeline; parts of speech would come in
#: runs of one tag. The labels were learned at words' first pieces.
_PIPELINES = {
    "ner": 'pipeline("token-classification", "model/", aggregation_strategy="first")("…")',
    "nli": 'pipeline("text-classification", "model/")({"text": "…", "text_pair": "…"})',
    "classify": 'pipeline("text-classification", "model/")("…")',
}

_EXACT = (
    "the entities of `predict` where spaces part words from punctuation and the tokenizer is BERT's; with others "
    "`transformers` guesses from spaces where words begin"
)

_WITH_NUMPY = """\
import numpy as np
{imports}from huggingface_hub import hf_hub_download
from safetensors.numpy import load_file
from transformers import AutoModel

model = AutoModel.from_pretrained({base})
theta = dict(model.named_parameters())
tensors = load_file(hf_hub_download({repo}, {file}{revision}))
for name in [key[5:-5] for key in tensors if key.startswith("diff/") and key.endswith("/gaps")]:
    positions = np.cumsum(tensors[f"diff/{{name}}/gaps"].astype(np.int64)) - 1
    theta[name].detach().numpy().reshape(-1)[positions] += tensors[f"diff/{{name}}/values"]
"""


def card(summary: DiffSummary, repo: str, file: str, revision: str | None = None) -> str:
    """The text of ``README.md``.

    Args:
        summary: of the SFT.
        repo: "owner/name", where it will be.
        file: its name there.
        revision: the branch, if it is not the main one.
    """
    named, on_hub = base_on_hub(summary)
    parts = [
        _front_matter(summary, named if on_hub else ""),
        f"# {repo.split('/')[1]}",
        _introduction(summary, f"[{named}](https://huggingface.co/{named})" if on_hub else _code(named or "?")),
        _table([(name, text) for name, text in facts(summary) if text]),
        "## How to use it",
        _usage(summary, repo, file, revision, named if on_hub else "BASE"),
    ]
    if summary.metadata.training:
        parts += ["## Training", _table(training_facts(summary.metadata.training, summary.metadata.method))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def base_on_hub(summary: DiffSummary) -> tuple[str, bool]:
    """What the base is called, "" if that is not told, and whether readers elsewhere find it by that name."""
    base = summary.metadata.base
    named = base.name if base else ""
    return named, looks_like_hub_id(named) and not Path(named).exists()


def _front_matter(summary: DiffSummary, base: str) -> str:
    """YAML that the hub reads; JSON text is YAML text."""
    objective = summary.metadata.objective
    lines = [f"base_model: {json.dumps(base)}"] if base else []
    lines += ["library_name: sftkit", "tags:", "- sftkit", "- sparse-fine-tuning"]
    return "\n".join(["---", *lines, *([f"- {json.dumps(objective)}"] if objective else []), "---"])


def _introduction(summary: DiffSummary, base: str) -> str:
    metadata = summary.metadata
    objective = (
        f" for {_OBJECTIVES.get(metadata.objective) or in_markdown(metadata.objective)}" if metadata.objective else ""
    )
    head = ", and a head of its own" if summary.head else ""
    return (
        f"A sparse fine-tuning (SFT) of {base}{objective}: {summary.k:,} differences, {share(summary.density)} of its "
        f"parameters{head}. An SFT is added to its base; languages and tasks add up "
        "([Ansell et al. 2022](https://aclanthology.org/2022.acl-long.125/))."
    )


def _usage(summary: DiffSummary, repo: str, file: str, revision: str | None, base: str) -> str:
    at = f"@{revision}" if revision else ""
    code = _WITH_NUMPY.format(
        imports="import ml_dtypes  # numpy's bfloat16\n" if "bf16" in summary.stored else "",
        base=json.dumps(base), repo=json.dumps(repo), file=json.dumps(file),
        revision=f", revision={json.dumps(revision)}" if revision else "",
    )  # fmt: skip
    rest = (
        "The head, whole tensors by their names in the model, lies beside them under `head/`.\n" if summary.head else ""
    )
    return (
        f"With sftkit, into a model that plain `transformers` loads, alone or with other SFTs of the same base:\n\n"
        f"```bash\nsftkit compose {base} hf://{repo}{at}/{file} -o model/\nsftkit pull {repo}{at}/{file}\n```\n\n"
        f"{_labelling(summary.metadata.objective, f'{base} hf://{repo}{at}/{file}')}"
        f"Without it, the backbone alone:\n\n```python\n{code}```\n\n{rest}"
    )


def _labelling(objective: str, what: str) -> str:
    """How to label text with a task's SFT."""
    if objective not in TASK_OBJECTIVES:
        return ""
    file = {"nli": "pairs.tsv", "qa": "questions.json"}.get(objective, "text.txt")
    text = f"Labels for text that has none:\n\n```bash\nsftkit predict {what} --{objective} {file}\n```\n\n"
    if objective in _PIPELINES:
        code = f"from transformers import pipeline\n\n{_PIPELINES[objective]}"
        exact = f" ({_EXACT})" if objective == "ner" else ""
        text += f"The composed model by itself{exact}:\n\n```python\n{code}\n```\n\n"
    return text


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {in_markdown(name)} | {in_markdown(text)} |" for name, text in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _code(text: str) -> str:
    """Text between backticks, of which it may have none."""
    return f"`{shown_on_a_line(text).replace('`', chr(39))}`"
