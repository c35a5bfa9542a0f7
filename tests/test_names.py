"""A name means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.test_import_boundaries import modules

#: Classes of one name that stay two, and why.
TWICE = {
    "Look": "a walk over a graph of gradients, and a look at data: neither leaves its file",
    "Part": "of a data set that is looked at, and of a window of arithmetic",
    "Questions": "read from a file, and asked of a model",
    "Root": "the stem of an invented word, and the end of a graph of gradients",
    "Sentence": "of the invented world, and of text to be labelled",
}


def test_no_two_public_classes_have_one_name() -> None:
    found = defaultdict[str, list[str]](list)
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1 and name not in TWICE} == {}
    assert [name for name in TWICE if len(found[name]) < 2] == []
