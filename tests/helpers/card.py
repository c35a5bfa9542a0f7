"""A second device without one: tensors on it are the CPU's underneath, but meet only each other, as those on a GPU do.

A backend in Python, as torch lets one write since 2.10. Its arithmetic is the CPU's, and so are its results.
Not covered: kernels, bfloat16, memory, activations that are computed twice, SFTs added to models in memory.
For a process of its own: what it registers stays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_leaves, tree_map

NAME = "card"
#: What is registered goes with its object.
_KEPT: dict[str, torch.library.Library] = {}
#: Those that take tensors from one device to another, and those whose indices may be on the CPU.
_ACROSS = ("aten::copy_", "aten::_to_copy")
_INDEXED = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")


def there_may_be_one() -> bool:
    """Whether this torch lets a backend be written in Python."""
    return hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


class OnCard(torch.Tensor):
    """A tensor on the card."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> OnCard:
        made: OnCard = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        made.raw = raw
        return made

    def tolist(self) -> Any:
        return self.raw.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    def data_ptr(self) -> int:
        return self.raw.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.raw.untyped_storage()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _computed(func, args, dict(kwargs or {}))


def set_up() -> None:
    """Let torch, and sftkit's settings, know the device."""
    from transformers import TrainingArguments

    backend_registration._setup_privateuseone_for_python_backend(NAME)
    library = _KEPT.setdefault("aten", torch.library.Library("aten", "IMPL"))
    library.impl("empty.memory_format", _made_by(torch.ops.aten.empty.memory_format), "PrivateUse1")
    library.impl("empty_strided", _made_by(torch.ops.aten.empty_strided.default), "PrivateUse1")
    library.impl("_copy_from", _copied, "PrivateUse1")
    torch.__future__.set_swap_module_params_on_conversion(True)  # parameters that are tied stay one
    generator: Any = torch.Generator
    torch.Generator = lambda *_: generator()  # type: ignore[assignment,misc]

    import_module("sftkit.training.lottery")  # all that asks for a device
    from sftkit.modeling.load import device_of

    def with_card(name: str) -> str:
        return name if name == NAME else device_of(name)

    for name, module in list(sys.modules.items()):
        if name.startswith("sftkit.") and getattr(module, "device_of", None) is device_of:
            module.device_of = with_card  # type: ignore[attr-defined]
    own: Any = TrainingArguments._setup_devices

    def device(self: TrainingArguments) -> torch.device:
        found: torch.device = own.func(self)
        return found if self.use_cpu else torch.device(NAME, 0)

    cached = cached_property(device)
    cached.__set_name__(TrainingArguments, "_setup_devices")
    TrainingArguments._setup_devices = cached  # type: ignore[assignment]


def _made_by(operator: Any) -> Callable[..., OnCard]:
    return lambda *args, **kwargs: OnCard(operator(*args, **kwargs | {"device": torch.device("cpu")}))


def _copied(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _raw(target).copy_(_raw(source))
    return target


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, OnCard) else value


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._schema.name
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    here = {id(each.raw): each for each in tensors if isinstance(each, OnCard)}
    elsewhere = [each for each in tensors if each.dim() and not isinstance(each, OnCard)]
    if elsewhere and name not in _ACROSS and not (name in _INDEXED and isinstance(args[0], OnCard)):
        raise RuntimeError(f"Expected all tensors to be on the same device ({name}).")
    stays = torch.device(kwargs["device"]).type == NAME if kwargs.get("device") is not None else bool(here)
    if "device" in kwargs:
        kwargs["device"] = torch.device("cpu")
    found = func(*tree_map(_raw, args), **tree_map(_raw, kwargs))
    if not stays:
        return found
    return tree_map(lambda each: _on_card(each, here) if isinstance(each, torch.Tensor) else each, found)


def _on_card(raw: torch.Tensor, here: dict[int, OnCard]) -> OnCard:
    """What an operator was given and gave back is the same object again."""
    known = here.get(id(raw))
    return OnCard(raw) if known is None else known
