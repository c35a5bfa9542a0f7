"""From training to plain transformers, for every architecture and way of storing it that sftkit is right for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.modeling.parser import AutoModelForDependencyParsing
from sftkit.tasks.pos import PartOfSpeech
from sftkit.tasks.readers.conllu import RELATIONS
from sftkit.training.lottery import learn
from sftkit.training.settings import settings_for
from tests.helpers import pico

ENCODERS = ["bert", "xlm-roberta", "distilbert", "deberta-v2", "electra", "modernbert"]
IDS = torch.tensor([[2, 10, 20, 30, 4, 40, 3]])


def _trained(folder: Path, base: Path, objective: str, data: Path, **changes: Any) -> Path:
    settings = settings_for(
        objective, data=(str(data),), base=base, base_name="pico", steps=3, lr=1e-2, k=2500, device="cpu", **changes
    )
    return write(folder / f"{objective}.sft", learn(settings).sft)


def _open(auto_class: Any, folder: Path) -> Any:
    model, info = auto_class.from_pretrained(folder, output_loading_info=True)
    assert {kind: sorted(map(str, found)) for kind, found in info.items() if found} == {}
    return model.eval()


@pytest.mark.parametrize("head", [True, False], ids=["with prefix", "bare"])
@pytest.mark.parametrize("model_type", ENCODERS)
def test_trained_and_composed_models_open_whole_in_transformers(
    tmp_path: Path, corpus: Path, treebank: Path, model_type: str, head: bool
) -> None:
    base = pico.save_base(tmp_path / "base", model_type, head=head)
    language, task = (_trained(tmp_path, base, *pair) for pair in (("mlm", corpus), ("pos", treebank)))
    both = [Weighted(SftFile(path), 1.0, path.name) for path in (language, task)]
    compose(base, both, tmp_path / "tagger")
    tagger = _open(AutoModelForTokenClassification, tmp_path / "tagger")
    labels = sorted(tagger.config.id2label.items())
    assert tuple(label for _, label in labels) == PartOfSpeech.fixed_labels
    compose(base, both[:1], tmp_path / "language")
    model = _open(AutoModelForMaskedLM, tmp_path / "language")
    inputs, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert not torch.equal(inputs, output)
    made: Any = pico.make_model(model_type, head=head)
    original = made.get_input_embeddings().weight
    assert torch.equal(output, original)  # θ's own values


@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_trained_and_composed_parser_opens_whole_and_parses_as_it_does_in_memory(
    tmp_path: Path, corpus: Path, treebank: Path, model_type: str
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    both = [
        Weighted(SftFile(_trained(tmp_path, base, *pair)), 1.0, pair[0])
        for pair in (("mlm", corpus), ("dep", treebank))
    ]
    compose(base, both, tmp_path / "parser")
    parser = _open(AutoModelForDependencyParsing, tmp_path / "parser")
    assert tuple(label for _, label in sorted(parser.config.id2label.items())) == RELATIONS
    scoring, data = Scoring("dep", device="cpu", resamples=0), [str(treebank)]
    assert evaluate(scoring, data, base, both) == evaluate(scoring, data, tmp_path / "parser")


@pytest.mark.parametrize("model_type", [*pico.CONFIGS])
def test_a_composed_classifier_of_pairs_opens_whole_and_says_in_a_padded_batch_what_it_says_in_memory(
    tmp_path: Path, model_type: str
) -> None:
    base = pico.save_base(tmp_path / "base", model_type, pad_token_id=None if model_type in pico.CAUSAL else 0)
    pairs = [("ta mi lo", "ka"), ("su ra en an", "mi " * 9), ("lo", "lo lo su ta"), ("mi.", "ka su")] * 3
    rows = [f"{first}\t{second}\t{i % 3}\n" for i, (first, second) in enumerate(pairs)]
    (tmp_path / "nli.tsv").write_text("premise\thypothesis\tlabel\n" + "".join(rows))
    trained = _trained(tmp_path, base, "nli", tmp_path / "nli.tsv", method="random")
    sft = Weighted(SftFile(trained), 1.0, "nli")
    compose(base, [sft], tmp_path / "model")
    model = _open(AutoModelForSequenceClassification, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    encoded = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    said = [model.config.id2label[best] for best in model(**encoded).logits.argmax(-1).tolist()]
    assert model.config.problem_type == "single_label_classification"
    scoring, data = Scoring("nli", batch_size=5, device="cpu", resamples=0), [str(tmp_path / "nli.tsv")]
    in_memory = evaluate(scoring, data, base, [sft], predictions=tmp_path / "said.tsv")
    assert [line.split("\t")[2] for line in (tmp_path / "said.tsv").read_text().splitlines()[1:]] == said
    assert in_memory == evaluate(scoring, data, tmp_path / "model")


@pytest.mark.parametrize("model_type", [*pico.CONFIGS])
def test_a_composed_recogniser_of_entities_opens_whole_and_says_what_it_says_in_memory(
    tmp_path: Path, model_type: str
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    (tmp_path / "ner.txt").write_text("ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\nsu O\n\n" * 8)
    trained = _trained(tmp_path, base, "ner", tmp_path / "ner.txt", method="random")
    sft = Weighted(SftFile(trained), 1.0, "ner")
    compose(base, [sft], tmp_path / "model")
    model = _open(AutoModelForTokenClassification, tmp_path / "model")
    assert list(model.config.id2label.values()) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    scoring, data = Scoring("ner", device="cpu", resamples=0), [str(tmp_path / "ner.txt")]
    in_memory = evaluate(scoring, data, base, [sft], predictions=tmp_path / "said.txt")
    ids = AutoTokenizer.from_pretrained(tmp_path / "model")("ta mi lo", return_tensors="pt")["input_ids"]
    said = [model.config.id2label[best] for best in model(input_ids=ids).logits[0, 1:-1].argmax(-1).tolist()]
    assert [line.split()[1] for line in (tmp_path / "said.txt").read_text().splitlines()[:3]] == said
    assert in_memory == evaluate(scoring, data, tmp_path / "model")


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "distilbert"])
def test_an_sft_learned_with_prefix_applies_to_the_bare_checkpoint_of_the_same_base(
    tmp_path: Path, corpus: Path, treebank: Path, model_type: str
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    bare = _without_prefix(base, tmp_path / "bare")
    sfts = [_trained(tmp_path, base, *pair) for pair in (("mlm", corpus), ("pos", treebank))]
    logits = []
    for folder in (base, bare):
        compose(folder, [Weighted(SftFile(path), 1.0, path.name) for path in sfts], tmp_path / f"{folder.name}-tagger")
        tagger = _open(AutoModelForTokenClassification, tmp_path / f"{folder.name}-tagger")
        logits.append(tagger(input_ids=IDS).logits)
    assert torch.equal(*logits)


def _without_prefix(base: Path, folder: Path) -> Path:
    """The same backbone as a bare encoder, and with the old names of layer norms."""
    import json
    import shutil

    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    prefix = {"bert": "bert.", "xlm-roberta": "roberta.", "distilbert": "distilbert."}[config["model_type"]]
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if config["model_type"] == "bert":
        bare = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
            for name, tensor in bare.items()
        }
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_an_sft_of_a_base_whose_weights_transformers_renames_is_scored_and_trained_on_in_memory(
    tmp_path: Path, corpus: Path, treebank: Path
) -> None:
    torch.manual_seed(0)
    settings = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "num_local_experts": 2, "vocab_size": pico.VOCABULARY, "pad_token_id": 0,
    }  # fmt: skip
    base = tmp_path / "base"
    AutoModelForCausalLM.from_config(AutoConfig.for_model("mixtral", **settings)).save_pretrained(base)
    pico.make_tokenizer().save_pretrained(base)
    path = _trained(tmp_path, base, "clm", corpus)
    language = [Weighted(SftFile(path), 1.0, path.name)]
    compose(base, language, tmp_path / "model")
    scoring, data = Scoring("clm", device="cpu", resamples=0), [str(corpus)]
    assert evaluate(scoring, data, base, language).metrics == evaluate(scoring, data, tmp_path / "model").metrics
    assert _trained(tmp_path, base, "pos", treebank, source_sft=path).is_file()
