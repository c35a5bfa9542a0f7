"""sftkit: composable sparse fine-tuning.

>>> import sftkit
>>> maltese, tagging = sftkit.read("mt.sft"), sftkit.read("pos.sft")  # doctest: +SKIP
>>> sftkit.compose("mmt-small", maltese, (tagging, 0.5), output="tagger")  # doctest: +SKIP

Everything here is imported when it is first used: ``import sftkit`` alone brings in nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sftkit.errors import SftkitError
    from sftkit.python.api import SFT, apply, read
    from sftkit.python.functions import compose, inspect, overlap, subtract
    from sftkit.python.scored import evaluate, predict
    from sftkit.python.switch import Switch

__version__ = "0.1.0"
__all__ = [
    "SFT", "SftkitError", "Switch", "apply", "compose", "evaluate", "inspect", "overlap", "predict", "read",
    "subtract",
]  # fmt: skip

_PLACES = {
    "SFT": "python.api", "apply": "python.api", "read": "python.api", "SftkitError": "errors",
    "Switch": "python.switch", "evaluate": "python.scored", "predict": "python.scored",
    **dict.fromkeys(("compose", "inspect", "overlap", "subtract"), "python.functions"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What is public, from where it is."""
    if name not in _PLACES:
        raise AttributeError(f"module 'sftkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"sftkit.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    """What is public."""
    return sorted({*__all__, "__version__"})
