"""A part of :mod:`tests.benchmarks.gpu`: phase 2 of a Llama of 6.7 B random weights."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.sparse import sparse_parameters
from tests.benchmarks._device import CUDA, DEVICE, Rows
from tests.benchmarks.training import peak_memory
from tests.helpers import pico


def llama() -> Rows:
    """Phase 2 of a large causal model in bfloat16: what it takes beside weights and φ."""
    model = _model()
    parameters = backbone_parameters(model)
    positions = {
        name: torch.arange(0, p.numel(), 23, dtype=torch.int32, device=DEVICE)
        for name, p in parameters.items() if p.dim() > 1
    }  # fmt: skip
    k = sum(map(len, positions.values()))
    weights = sum(p.nbytes for p in model.parameters())
    ids = torch.randint(5, model.config.vocab_size, (1, 1024 if CUDA else 16), device=DEVICE)
    seconds = []
    with sparse_parameters(model, positions) as phi:
        del positions
        optimizer = torch.optim.AdamW([phi.phi], lr=1e-5, fused=True)
        for _ in range(4):
            begin = time.perf_counter()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if CUDA:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
        peak = peak_memory(DEVICE) * 1e6
    largest = max(p.numel() for p in parameters.values()) * 2
    return [
        ("parameters", float(sum(p.numel() for p in model.parameters())), ""),
        ("K", float(k), ""),
        ("step of 1,024 tokens", seconds[-1], "s"),
        ("weights", weights / 1e9, "GB"),
        ("φ, gradient, moments, positions, θ there: 22 K", 22 * k / 1e9, "GB"),
        ("the largest weight's gradient", largest / 1e9, "GB"),
        ("peak", peak / 1e9, "GB"),
        ("peak less weights and 24 K", (peak - weights - 24 * k) / 1e9, "GB"),
    ]


def _model() -> Any:
    """In bfloat16, with gradient checkpointing, its output matrix fixed."""
    config = LlamaConfig() if CUDA else LlamaConfig(**pico.CONFIGS["llama"] | {"vocab_size": 300})
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(DEVICE):
            model: Any = AutoModelForCausalLM.from_config(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.get_output_embeddings().weight.requires_grad_(False)
    return model
