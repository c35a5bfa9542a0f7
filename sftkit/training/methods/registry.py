"""The methods, in one table: what settings, plans and the command line ask of them. No torch.

To add one, write a file beside this one with a class that has :class:`~sftkit.training.methods.base.Chooser`'s
``choose`` (and ``size``, if it needs no K), and a row in ``_ALL``. Settings that belong to it alone are fields of
:class:`~sftkit.training.settings.Settings` that the row names: they are refused with every other method. Where its
phase 1 needs other memory than full fine-tuning, say so in :mod:`sftkit.training.memory`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SelectionMethod:
    """What there is to know of a method before torch is imported.

    Attributes:
        name: what ``--method`` calls it.
        chooser: its file in this folder, and its class there.
        own: the settings that go with it alone.
        phase1: whether it has a phase 1.
        tunes_theta: whether that tunes θ in place, as full fine-tuning does.
        sized: whether it asks for K; others say themselves which entries φ has.
        tunes_norms: whether the layer norms of a task's backbone may move without being asked for.
        makes_weights: whether its phase 1 makes weights anew in each forward pass: then SFTs that take turns cannot be
            put on them, nor can they be shared out over processes.
    """

    name: str
    chooser: str
    own: tuple[str, ...] = ()
    phase1: bool = False
    tunes_theta: bool = False
    sized: bool = True
    tunes_norms: bool = False
    makes_weights: bool = False


_ALL = (
    SelectionMethod(
        "lottery",
        "winning_ticket.WinningTicket",
        ("criterion", "iterations", "rewind_to"),
        phase1=True,
        tunes_theta=True,
    ),
    SelectionMethod("diff", "diffpruning.DiffPruning", ("l0",), phase1=True, makes_weights=True),
    SelectionMethod("random", "random_mask.RandomMask"),
    # biases of norms are among those that BitFit tunes (Ben Zaken et al. 2022, section 3)
    SelectionMethod("bitfit", "bitfit.BitFit", sized=False, tunes_norms=True),
    SelectionMethod("mask", "mask_file.MaskFile", sized=False),
)
#: By name.
METHODS = {method.name: method for method in _ALL}
#: Those that have a phase 1.
TWO_PHASES = tuple(method.name for method in _ALL if method.phase1)
