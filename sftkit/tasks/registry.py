"""Every objective, by the name of its option."""

from __future__ import annotations

from sftkit.tasks.base import Objective
from sftkit.tasks.clm import CausalLM
from sftkit.tasks.dep import DependencyParsing
from sftkit.tasks.mlm import MaskedLM
from sftkit.tasks.ner import NamedEntities
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from sftkit.tasks.pos import PartOfSpeech
from sftkit.tasks.qa import QuestionAnswering
from sftkit.tasks.sequences import Classification, NaturalLanguageInference

_ALL: tuple[type[Objective], ...] = (
    MaskedLM, CausalLM, PartOfSpeech, NamedEntities, DependencyParsing, NaturalLanguageInference, Classification,
    QuestionAnswering,
)  # fmt: skip
OBJECTIVES = {kind.name: kind for kind in _ALL}


def objective_of(name: str, options: TaskOptions = NO_OPTIONS) -> Objective:
    """A new objective by name.

    Raises:
        KeyError: if there is none of that name.
    """
    return OBJECTIVES[name](options)
