"""A tiny multilingual BERT, pretrained in about a minute on the invented languages' text.

Trains a WordPiece tokenizer and a masked language model, and saves both as a plain Hugging Face directory. This is
the demonstration's stand-in for a published base model: not a recipe for real text, and no part of the method.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from sftkit.demo.languages import Family
from sftkit.demo.pieces import learn_pieces

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclass(frozen=True)
class PretrainSettings:
    """Sizes of the model and of its training; the defaults are what the demonstration uses.

    Attributes:
        vocabulary: word pieces; few, so that words are spelled with pieces that the languages share.
        spread: standard deviation of the initial weights; BERT's 0.02 keeps so narrow a model on the unigram plateau.
        masked: share of the tokens to predict.
        hidden_by_mask, hidden_by_noise: how many of those are replaced by the mask, and by a random token. More noise
            than is usual makes the model look at the context of every word, not only of the mask.
    """

    vocabulary: int = 300
    hidden: int = 96
    layers: int = 2
    heads: int = 4
    positions: int = 64
    batch: int = 32
    learning_rate: float = 2e-3
    spread: float = 0.06
    masked: float = 0.2
    hidden_by_mask: float = 0.6
    hidden_by_noise: float = 0.3


DEFAULTS = PretrainSettings()


def pretrain_base(
    family: Family,
    corpora: Mapping[str, Path],
    output: Path,
    *,
    seed: int,
    steps: int = 1600,
    settings: PretrainSettings = DEFAULTS,
    callbacks: Sequence[TrainerCallback] = (),
) -> Path:
    """Pretrain on some of the family's languages and save model and tokenizer.

    Args:
        family: whose `pretraining` languages are used.
        corpora: a text file, one sentence a line, by the language's name.
        output: the directory to write.
        seed: of the initial weights, the order of the sentences and the masks.
        steps: how many batches to train on.
        settings: sizes of the model and of its training.
        callbacks: of the Trainer, to show progress; nothing is printed.

    Returns:
        The output directory.
    """
    lines = [line for language in family.pretraining for line in _read_lines(corpora[language.name])]
    output.mkdir(parents=True, exist_ok=True)
    set_seed(seed)
    tokenizer = train_tokenizer(lines, settings)
    model = _new_model(tokenizer, settings)
    encoded = tokenizer(lines, truncation=True)["input_ids"]
    _start_from_frequencies(model, encoded)
    trainer = Trainer(
        model=model,
        args=_arguments(output, steps, seed, settings),
        train_dataset=[{"input_ids": row} for row in encoded],
        data_collator=DataCollatorForLanguageModeling(
            tokenizer,
            mlm_probability=settings.masked,
            mask_replace_prob=settings.hidden_by_mask,
            random_replace_prob=settings.hidden_by_noise,
        ),
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)  # takes the place of the progress bar when that is off
    trainer.train()
    with _no_progress_bars():
        model.save_pretrained(output)
        tokenizer.save_pretrained(output)
    for weights in output.glob("*.safetensors"):  # which only their owner may read, as they were written
        weights.chmod((output / "config.json").stat().st_mode)
    return output


def _arguments(output: Path, steps: int, seed: int, settings: PretrainSettings) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        warmup_steps=steps // 10,
        weight_decay=0.01,
        adam_beta2=0.98,
        seed=seed,
        save_strategy="no",
        # batches are drawn at random: grouped by length they come long ones first, and the plateau lasts and lasts
        train_sampling_strategy="random",
        logging_steps=max(1, min(50, steps // 10)),
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )


def train_tokenizer(lines: Sequence[str], settings: PretrainSettings) -> PreTrainedTokenizerFast:
    """A cased WordPiece tokenizer; all of a to z is in its alphabet, so that no unseen word is unknown."""
    pieces = [*SPECIAL_TOKENS, *learn_pieces(lines, settings.vocabulary - len(SPECIAL_TOKENS))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=settings.positions,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _new_model(tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings) -> BertForMaskedLM:
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


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Saving shows a bar of its own, unless transformers' bars are off."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _read_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
