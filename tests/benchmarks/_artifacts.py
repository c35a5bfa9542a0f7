"""SFTs of mBERT's size with random positions, for the benchmarks of reading, writing, inspecting and comparing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sftkit.format.metadata import Base, Metadata, ParameterSpec
from sftkit.format.writing import write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from sftkit.format.encoding import Positions, Values

K = 7_667_712


def mbert_parameters(*, hidden: int = 768, layers: int = 12, vocabulary: int = 119_547) -> dict[str, ParameterSpec]:
    """Names and shapes of multilingual BERT's backbone: 177,853,440 parameters, pooler included."""
    wide = 4 * hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, hidden),
        "embeddings.position_embeddings.weight": (512, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    for layer in range(layers):
        at = f"encoder.layer.{layer}."
        for module in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}{module}.weight": (hidden, hidden), f"{at}{module}.bias": (hidden,)}
        shapes |= {f"{at}intermediate.dense.weight": (wide, hidden), f"{at}intermediate.dense.bias": (wide,)}
        shapes |= {f"{at}output.dense.weight": (hidden, wide), f"{at}output.dense.bias": (hidden,)}
        for module in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}{module}.weight": (hidden,), f"{at}{module}.bias": (hidden,)}
    return {name: ParameterSpec(shape, "float32") for name, shape in shapes.items()}


class RandomDifference:
    """K entries at random positions of the backbone; satisfies ``Difference``."""

    def __init__(self, specs: Mapping[str, ParameterSpec], k: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        total = sum(spec.size for spec in specs.values())
        drawn = np.unique(rng.integers(0, total, k + k // 16, dtype=np.int64))
        self._positions = np.delete(drawn, np.linspace(0, len(drawn) - 1, len(drawn) - k).astype(np.int64))
        values = rng.standard_normal(k, dtype=np.float32) * np.float32(1e-3)
        self._values: Values = np.where(values == 0, np.float32(1e-3), values)
        self._ends = np.cumsum([spec.size for spec in specs.values()])
        self._index = {name: at for at, name in enumerate(specs)}
        self.metadata = Metadata(specs, k, k / total, Base("mbert", "bert", None, "0" * 32), "mlm", "lottery")
        self.names = tuple(sorted(specs))
        self.head: Mapping[str, NDArray[Any]] = {}
        self.digest = ""

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat positions and values of one parameter."""
        at = self._index[name]
        begin = int(self._ends[at - 1]) if at else 0
        piece = slice(*np.searchsorted(self._positions, [begin, int(self._ends[at])]))
        return self._positions[piece] - begin, self._values[piece]


def make_sfts(folder: Path, count: int, *, values: str = "f32") -> list[Path]:
    """So many SFTs in ``folder``, made once and kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{values}-{seed:02d}.sft" for seed in range(count)]
    specs = mbert_parameters()
    for seed, path in enumerate(paths):
        if not path.exists():
            write(path, RandomDifference(specs, K, seed), values=values)
    return paths
