"""Where a base's tensors are found: safetensors only, the Hub's own conversion where a model has none."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from pareft.errors import ModelError
from pareft.models import checkpoint
from pareft.models.checkpoint import Base, list_tensors, open_base


@pytest.fixture
def hub(bases, tmp_path, monkeypatch):
    """A Hub model whose main revision is pickled and whose pull request 7 is its conversion."""
    main = tmp_path / "main"
    main.mkdir()
    (main / "config.json").write_text((bases["bart"] / "config.json").read_text())
    torch.save({}, main / "pytorch_model.bin")
    revisions = {"main": main, "refs/pr/7": bases["bart"]}

    def find(name, filename, *, revision, **_):
        path = (Path(name) if Path(name).is_dir() else revisions[revision]) / filename
        return str(path) if path.is_file() else None

    monkeypatch.setattr(checkpoint, "cached_file", find)
    return Base("facebook/bart-large", "facebook/bart-large", None, AutoConfig.from_pretrained(main))


def test_a_pickled_hub_model_is_read_from_the_hubs_conversion(hub, bases, monkeypatch):
    monkeypatch.setattr(checkpoint, "auto_conversion", lambda name: (f"{name}/model.safetensors", "refs/pr/7", False))
    assert list_tensors(hub) == list_tensors(open_base(str(bases["bart"])))


def test_a_conversion_that_fails_is_one_line(hub, monkeypatch):
    def fail(_):
        raise OSError("Could not create safetensors conversion PR.")

    monkeypatch.setattr(checkpoint, "auto_conversion", fail)
    with pytest.raises(ModelError, match=r"has no safetensors weights, and the Hub's conversion .* Could not create"):
        list_tensors(hub)


def test_a_pickled_folder_is_refused_and_never_opened(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened a pickle"))
    monkeypatch.setattr(checkpoint, "auto_conversion", lambda _: pytest.fail("asked the Hub about a folder"))
    with pytest.raises(ModelError, match="reads safetensors only"):
        list_tensors(Base("here", str(tmp_path / "main"), None, hub.config))


def test_a_damaged_file_is_one_line(bases, tmp_path):
    (tmp_path / "config.json").write_text((bases["bart"] / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"not at all")
    with pytest.raises(ModelError, match="no safetensors file, or a damaged one"):
        list_tensors(open_base(str(tmp_path)))
