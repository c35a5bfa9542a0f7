"""``sftkit push`` and ``sftkit pull``. The hub is a folder, played by a fake API: no test touches the network."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, RepositoryNotFoundError
from transformers import AutoModel

import sftkit as library
from sftkit.format.files import SftFile
from sftkit.format.metadata import Base
from sftkit.format.writing import write
from tests.cli.run import sftkit
from tests.format.reference import encode, save
from tests.helpers.build import make_sft, save_sft

REPO = "me/pico-mt"


class FakeHub:
    """Repos as folders: owner/name/branch/file. Stands in for ``HfApi`` and the download functions."""

    def __init__(self, root: Path) -> None:
        self.root, self.private, self.commits = root, False, list[str]()

    def create_repo(self, repo: str, *, private: bool | None, exist_ok: bool) -> str:
        assert exist_ok
        if not (self.root / repo).is_dir():
            self.private = bool(private)
            (self.root / repo / "main").mkdir(parents=True)
        return f"https://huggingface.co/{repo}"

    def repo_info(self, repo: str) -> Any:
        assert (self.root / repo).is_dir()
        return SimpleNamespace(private=self.private)

    def list_repo_refs(self, repo: str) -> Any:
        return SimpleNamespace(branches=[SimpleNamespace(name=path.name) for path in (self.root / repo).iterdir()])

    def list_repo_files(self, repo: str, *, revision: str | None = None) -> list[str]:
        return [path.name for path in (self.root / repo / (revision or "main")).iterdir()]

    def create_branch(self, repo: str, *, branch: str, exist_ok: bool) -> None:
        (self.root / repo / branch).mkdir(exist_ok=exist_ok)

    def create_commit(self, repo: str, parts: list[Any], *, commit_message: str, revision: str | None) -> None:
        self.commits.append(commit_message)
        for part in parts:
            data = part.path_or_fileobj
            raw = data if isinstance(data, bytes) else Path(data).read_bytes()
            (self.root / repo / (revision or "main") / part.path_in_repo).write_bytes(raw)

    def download(self, repo: str, file: str, *, revision: str | None = None) -> str:
        return str(self.root / repo / (revision or "main") / file)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", fake.list_repo_files)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.download)
    return fake


@pytest.fixture
def sft(tmp_path: Path, pico_base: Path) -> Path:
    return save_sft(tmp_path / "mt.sft", pico_base, training={"seed": 3, "settings": {"lr": 5e-5, "l1": None}})


def test_what_is_pushed_is_pulled_to_the_byte(hub: FakeHub, sft: Path, tmp_path: Path) -> None:
    done = sftkit("push", sft, REPO)
    assert (done.status, done.stdout.strip()) == (0, f"https://huggingface.co/{REPO}")
    assert hub.commits == ["Upload mt.sft"]
    assert sftkit("pull", REPO, "-o", tmp_path / "back.sft").status == 0
    assert (tmp_path / "back.sft").read_bytes() == sft.read_bytes()


def test_a_branch_is_made_and_pulled_from(hub: FakeHub, sft: Path, tmp_path: Path) -> None:
    assert sftkit("push", sft, REPO, "--revision", "longer").status == 0
    assert hub.list_repo_files(REPO) == []
    assert sftkit("pull", f"hf://{REPO}@longer", "-o", tmp_path / "back.sft").status == 0
    assert f"hf://{REPO}@longer/mt.sft" in (hub.root / REPO / "longer" / "README.md").read_text()


def test_a_file_that_is_there_already_is_replaced_only_when_asked(hub: FakeHub, sft: Path) -> None:
    assert sftkit("push", sft, REPO).status == 0
    refused = sftkit("push", sft, REPO)
    assert refused.status == 1
    assert "mt.sft already" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert len(hub.commits) == 1
    assert sftkit("push", sft, REPO, "--overwrite").status == 0


def test_a_readme_of_the_repos_own_is_kept(hub: FakeHub, sft: Path) -> None:
    readme = hub.root / REPO / "main" / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("mine")
    done = sftkit("push", sft, REPO)
    assert done.status == 0
    assert "README.md is kept" in done.stderr
    assert readme.read_text() == "mine"


def test_a_private_repo_is_made_and_a_public_one_is_not_taken_for_one(hub: FakeHub, sft: Path) -> None:
    assert sftkit("push", sft, REPO, "--private").status == 0
    assert hub.private
    hub.private = False
    refused = sftkit("push", sft, REPO, "--private", "--overwrite")
    assert refused.status == 1
    assert "is public" in refused.stderr


def test_a_dry_run_shows_the_card_and_asks_nothing_of_the_hub(sft: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", None)  # calling it would be a bug
    done = sftkit("push", sft, REPO, "--dry-run")
    assert done.status == 0
    front, text = re.fullmatch(r"---\n(.*?)\n---\n(.*)", done.stdout, re.DOTALL).groups()  # type: ignore[union-attr]
    assert "library_name: sftkit" in front
    assert "base_model" not in front  # a directory here is no model there
    for said in ("K | 200", "masked language modelling", "seed | 3", "settings | lr 5e-05", f"hf://{REPO}/mt.sft"):
        assert said in text
    document = json.loads(sftkit("push", sft, REPO, "--dry-run", "--json").stdout)
    assert (document["repo"], document["file"], document["k"], document["url"]) == (REPO, "mt.sft", 200, None)
    assert document["card"] == done.stdout.rstrip("\n") + "\n"


def test_the_card_names_a_base_on_the_hub(pico_base: Path, tmp_path: Path) -> None:
    made = make_sft(pico_base)
    named = replace(made.metadata, base=Base("bert-base-multilingual-cased", "bert"))
    path = write(tmp_path / "x.sft", replace(made, metadata=named))
    card = sftkit("push", path, REPO, "--dry-run").stdout
    assert 'base_model: "bert-base-multilingual-cased"' in card
    assert f"sftkit compose bert-base-multilingual-cased hf://{REPO}/x.sft -o model/" in card


def test_a_base_that_has_no_name_on_the_hub_is_remarked_on(sft: Path) -> None:
    assert "where others have none: say in the card which it is on the hub" in " ".join(
        sftkit("push", sft, REPO, "--dry-run").stderr.split()
    )


@pytest.mark.parametrize("values", ["f32", "bf16"])
def test_the_cards_code_adds_the_sft_without_sftkit(
    values: str, hub: FakeHub, pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_sft(tmp_path / "mt.sft", pico_base, values=values)
    sftkit("push", path, REPO)
    card = (hub.root / REPO / "main" / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1].replace('"BASE"', repr(str(pico_base)))  # type: ignore[index]
    by_card: dict[str, Any] = {}
    exec(code, by_card)
    model = AutoModel.from_pretrained(pico_base)
    sft = library.read(path)
    sft.apply_to(model)
    theta = dict(model.named_parameters())
    assert "sftkit" not in code
    assert all(torch.equal(by_card["theta"][name], theta[name]) for name in sft.names)


def test_a_repo_in_the_references_layout_is_converted(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub.root / REPO / "main"
    save(folder, {"diffs": {"bert.encoder.layer.0.attention.self.query.weight": encode(np.eye(16, dtype=np.float32))},
                  "abs": {}})  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = sftkit("pull", REPO, "--json")
    assert (done.status, json.loads(done.stdout)["output"]) == (0, "pico-mt.sft")
    assert SftFile(tmp_path / "pico-mt.sft").metadata.k == 16


def test_an_output_that_is_there_is_kept_before_the_hub_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x.sft").write_text("precious")
    refused = sftkit("pull", REPO, "-o", tmp_path / "x.sft")
    assert refused.status == 1
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "x.sft").read_text() == "precious"


def test_what_is_damaged_is_neither_pushed_nor_kept(hub: FakeHub, sft: Path, tmp_path: Path) -> None:
    sftkit("push", sft, REPO)
    stored = hub.root / REPO / "main" / "mt.sft"
    stored.write_bytes(stored.read_bytes()[:-10])
    refused = sftkit("pull", REPO, "-o", tmp_path / "back.sft")
    assert refused.status == 1
    assert not (tmp_path / "back.sft").exists()
    assert sftkit("push", stored, REPO, "--overwrite").status == 1
    assert len(hub.commits) == 1


def response(status: int) -> Any:
    """What the HTTP library gives, whichever huggingface_hub uses."""
    return SimpleNamespace(status_code=status, headers={}, request=None)


UNREACHABLE = type("ConnectError", (Exception,), {"__module__": "httpx"})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (HfHubHTTPError("401 Client Error", response=response(401)), "hf auth login"),
        (HfHubHTTPError("403 Forbidden", response=response(403)), "HF_TOKEN"),
        (RepositoryNotFoundError("404", response=response(404)), "no such repo"),
        (UNREACHABLE("name or service not known"), "network"),
    ],
    ids=["no token", "not logged in", "no rights", "no repo", "no network"],
)
def test_what_the_hub_refuses_is_one_line_that_says_what_to_do(
    error: Exception, says: str, hub: FakeHub, sft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(hub, "create_repo", refuse)
    monkeypatch.setattr(huggingface_hub, "list_repo_files", refuse)
    for arguments in (("push", sft, REPO), ("pull", REPO)):
        done = sftkit(*arguments)
        assert done.status == 1
        assert says in done.stderr
        assert REPO in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_offline_the_real_hub_is_said_to_be_out_of_reach(sft: Path) -> None:
    done = sftkit("push", sft, REPO)  # tests run with HF_HUB_OFFLINE=1
    assert done.status == 1
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize("repo", ["mt", "a/b/c", "x y/z"])
def test_what_is_no_repo_is_said_so(repo: str, sft: Path) -> None:
    done = sftkit("push", sft, repo)
    assert done.status == 1
    assert "owner/name" in done.stderr or ".sft" in done.stderr
