"""A tiny multilingual BERT, pretrained in about a minute on the invented languages' text.

Trains a WordPiece tokenizer and a masked language model, and saves both as a plain Hugging Face directory. This is
the demonstration's stand-in for a published base model: not a recipe for real text, and no part of the method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizerFast,
    DataCollatorForLanguageModeling,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from sftkit.demo.languages import Family

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALPHABET = list("abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class PretrainSettings:
    """Sizes of the model and of its training; the defaults are what the demonstration uses."""

    vocabulary: int = 500
    hidden: int = 96
    layers: int = 2
    heads: int = 4
    positions: int = 64
    batch: int = 32
    learning_rate: float = 2e-3
    masked: float = 0.2
    spread: float = 0.06
    beta2: float = 0.98
    sampling: str = "random"
    block: int = 0
    replace: float = 0.8
    noise: float = 0.1


def pretrain_base(
    family: Family,
    corpora: Mapping[str, Path],
    output: Path,
    *,
    seed: int,
    steps: int = 1500,
    settings: PretrainSettings = PretrainSettings(),
    callbacks: Sequence[TrainerCallback] = (),
) -> Path:
    """Pretrain on the corpora (one a language's name) of the family's pretraining languages; returns `output`."""
    lines = [line for language in family.pretraining for line in _read_lines(corpora[language.name])]
    output.mkdir(parents=True, exist_ok=True)
    set_seed(seed)
    tokenizer = train_tokenizer(lines, settings)
    model = _new_model(tokenizer, settings)
    encoded = tokenizer(lines, truncation=True)["input_ids"]
    _start_from_frequencies(model, encoded)
    if settings.block:
        encoded = [
            b
            for language in family.pretraining
            for b in pack(tokenizer(_read_lines(corpora[language.name]))["input_ids"], settings.block)
        ]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(output),
            max_steps=steps,
            per_device_train_batch_size=settings.batch,
            learning_rate=settings.learning_rate,
            warmup_steps=steps // 10,
            weight_decay=0.01,
            seed=seed,
            save_strategy="no",
            logging_steps=max(1, min(50, steps // 10)),
            report_to="none",
            disable_tqdm=True,
            train_sampling_strategy=settings.sampling,
            adam_beta2=settings.beta2,  # padding would be half of the work
            use_cpu=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=[{"input_ids": row} for row in encoded],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=settings.masked, mask_replace_prob=settings.replace, random_replace_prob=settings.noise),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)  # takes the place of the progress bar when that is off
    trainer.train()
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    return output


def train_tokenizer(lines: Sequence[str], settings: PretrainSettings) -> BertTokenizerFast:
    """A cased WordPiece tokenizer; all of a to z is in its alphabet, so that no unseen word is unknown."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=ALPHABET,
        show_progress=False,
    )
    backend.train_from_iterator(lines, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return BertTokenizerFast(tokenizer_object=backend, do_lower_case=False, model_max_length=settings.positions)


def _new_model(tokenizer: BertTokenizerFast, settings: PretrainSettings) -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden,
        max_position_embeddings=settings.positions,
        hidden_dropout_prob=0.0,  # dropout keeps so small a model on the unigram plateau
        attention_probs_dropout_prob=0.0,
        initializer_range=settings.spread,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertForMaskedLM(config)


def _start_from_frequencies(model: BertForMaskedLM, encoded: Sequence[Sequence[int]]) -> None:
    """Set the output bias to log frequencies, so that training starts at the unigram entropy."""
    counts = Counter(token for row in encoded for token in row)
    frequencies = torch.tensor([counts[token] + 0.5 for token in range(model.config.vocab_size)])
    with torch.no_grad():
        model.cls.predictions.bias.copy_((frequencies / frequencies.sum()).log())


def pack(rows, size):
    """Blocks of equal length"""
    stream = [t for row in rows for t in (row[1:])]
    return [rows[0][:1] + stream[i : i + size - 1] for i in range(0, len(stream) - size + 2, size - 1)]


def _read_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
