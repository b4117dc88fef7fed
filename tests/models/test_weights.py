"""Files of tensors: safetensors in one file or in shards, PyTorch's own without executing it, damage of every kind; the digest."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import MAKERS, make_model
from transformers import AutoModelForSeq2SeqLM

import pareft
from pareft.errors import ModelError, PlanError
from pareft.models.checkpoint import open_base
from pareft.models.digests import digest_files, digest_weights, name_body
from pareft.models.weights import list_tensors

NOTHING = hashlib.sha256(b"").hexdigest()[:16]  # the digest of no tensors
SHOWN = ("bart", "t5", "bert", "llama", "trocr")  # of families, those whose digests are looked at every time


@pytest.fixture
def copy(bases, tmp_path):
    """A BART base in one file, to change."""
    shutil.copytree(bases["bart"], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def sharded(copy):
    AutoModelForSeq2SeqLM.from_pretrained(copy).save_pretrained(copy, max_shard_size="20KB")
    (copy / "model.safetensors").unlink(missing_ok=True)
    assert (copy / "model.safetensors.index.json").is_file()
    return copy


def pickled(folder, *, zipped=True):
    """The base as `pytorch_model.bin`."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (folder / "model.safetensors").unlink()
    return folder


def digest(folder):
    base = open_base(str(folder))
    return digest_files(base.config, list_tensors(base))


def assert_same(one, other):
    there, here = one.state_dict(), other.state_dict()
    assert all(torch.equal(there[name], here[name]) for name in there)


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorchs_own_format_is_read(bases, copy, zipped):
    plan = pareft.plan(bases["bart"])
    assert_same(pareft.load(pickled(copy, zipped=zipped), plan), pareft.load(bases["bart"], plan))


def test_pytorchs_own_format_in_shards_is_read(bases, copy):
    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = sorted(state)
    weight_map = {name: f"pytorch_model-0000{1 + index % 2}-of-00002.bin" for index, name in enumerate(names)}
    for shard in set(weight_map.values()):
        torch.save({name: state[name] for name in names if weight_map[name] == shard}, copy / shard)
    (copy / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    plan = pareft.plan(bases["bart"])
    assert_same(pareft.load(copy, plan), pareft.load(bases["bart"], plan))


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_a_pickle_that_would_execute_is_not(copy):
    (copy / "model.safetensors").unlink()
    torch.save({"model.shared.weight": Evil()}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"holds more than tensors \(exec\), or is damaged, and is not opened"):
        pareft.plan(copy)


@pytest.mark.parametrize("known", [True, False])
def test_code_beside_a_checkpoint_is_not_executed_whatever_is_answered(copy, monkeypatch, known):
    values = json.loads((copy / "config.json").read_text()) | {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (copy / "config.json").write_text(json.dumps(values if known else values | {"model_type": "unheard-of"}))
    (copy / "code.py").write_text("raise SystemExit('executed')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    if known:
        pareft.load(copy)
    else:
        with pytest.raises(ModelError, match="custom code"):
            pareft.load(copy)


def test_a_pickle_of_something_else_is_refused(copy):
    (copy / "model.safetensors").unlink()
    torch.save([torch.zeros(2)], copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="something else than tensors by name"):
        pareft.load(copy)


@pytest.mark.parametrize(
    "write", [lambda path: torch.save({"a": torch.ones(2)}, path), lambda path: path.write_bytes(pickle.dumps([1]))]
)
def test_a_pickle_under_a_safetensors_name_is_refused(copy, write):
    write(copy / "model.safetensors")
    with pytest.raises(ModelError, match="is a pickle under the name of a safetensors file and is not opened"):
        pareft.load(copy)


@pytest.mark.parametrize("keep", [0, 5, 200, -100])
def test_a_truncated_file_is_one_line(copy, keep):
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[:keep])
    with pytest.raises(ModelError, match=r"is no safetensors file, or a damaged or truncated one .* copy it again"):
        pareft.load(copy)


def test_a_truncated_pickle_is_one_line(copy):
    path = pickled(copy) / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is damaged"):
        pareft.load(copy)


def test_a_missing_shard_is_named(sharded):
    (sharded / "model-00002-of-00003.safetensors").unlink(missing_ok=True)
    lost = sorted(sharded.glob("model-*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ModelError, match=r"is named in model.safetensors.index.json and is not there"):
        pareft.load(sharded)


def test_a_shard_without_a_tensor_of_the_index_is_named(sharded):
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    index["weight_map"]["model.shared.other"] = next(iter(index["weight_map"].values()))
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks the tensor model.shared.other"):
        pareft.load(sharded)


def test_a_damaged_index_is_one_line(sharded):
    (sharded / "model.safetensors.index.json").write_text("{")
    with pytest.raises(ModelError, match="cannot read base"):
        pareft.load(sharded)


def test_a_folder_without_weights_says_so(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no weights: neither model.safetensors nor pytorch_model.bin"):
        pareft.load(copy)


def test_the_digest_is_of_the_weights_and_not_of_their_files(bases, copy, tmp_path):
    original = digest(bases["bart"])
    stock = AutoModelForSeq2SeqLM.from_pretrained(copy)
    stock.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    stock.model.save_pretrained(tmp_path / "headless")
    stock.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    assert {digest(tmp_path / name) for name in ("shards", "headless", "half")} == {original}
    assert digest(pickled(copy)) == original


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow) for name in MAKERS])
def test_the_digest_sees_every_tensor_of_the_body_and_nothing_else(tmp_path, name):
    """In every family, as stock transformers stores it: so no stale buffer, head or tied copy can change it."""
    model = make_model(name)
    model.save_pretrained(tmp_path)
    base, file = open_base(str(tmp_path)), tmp_path / "model.safetensors"
    wanted = set(name_body(base.config).values())
    seen = {digest_files(base.config, {stored: file}) for stored in load_file(file)} - {NOTHING}
    assert len(seen) == len(wanted)
    assert digest_weights(model) == digest(tmp_path)


def test_older_names_and_stale_buffers_are_the_same_weights(tmp_path):
    make_model("bert").save_pretrained(tmp_path)
    original, state = digest(tmp_path), load_file(tmp_path / "model.safetensors")
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for name, t in state.items()
    }
    assert older.keys() != state.keys()
    stale = {"bert.embeddings.position_ids": torch.arange(64), "bert.encoder.layer.0.attention.self.rotary.inv_freq": torch.ones(3)}
    save_file(older | stale, tmp_path / "model.safetensors", {"format": "pt"})
    assert digest(tmp_path) == original


def test_a_head_is_not_the_base(tmp_path):
    model = make_model("llama")
    model.save_pretrained(tmp_path / "one")
    with torch.no_grad():
        model.lm_head.weight.add_(1)
    model.save_pretrained(tmp_path / "other")
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


def test_the_digest_tells_other_weights(bases, copy):
    state = load_file(copy / "model.safetensors")
    seen = {digest(bases["bart"])}
    for name in ("model.encoder.layers.3.fc1.weight", "model.shared.weight", "model.decoder.layers.5.self_attn.q_proj.bias"):
        save_file(state | {name: state[name] + 0.1}, copy / "model.safetensors", {"format": "pt"})
        seen.add(digest(copy))
    assert len(seen) == 4


def test_layers_that_change_places_are_other_weights(bases, copy):
    state = load_file(copy / "model.safetensors")
    one, other = (f"model.encoder.layers.{layer}.fc1.weight" for layer in (1, 2))
    save_file(state | {one: state[other], other: state[one]}, copy / "model.safetensors", {"format": "pt"})
    assert digest(copy) != digest(bases["bart"])


def test_other_weights_refuse_the_plan_with_both_digests(bases, copy):
    state = load_file(copy / "model.safetensors")
    save_file(state | {"model.shared.weight": state["model.shared.weight"] * 2}, copy / "model.safetensors", {"format": "pt"})
    plan = pareft.plan(bases["bart"])
    with pytest.raises(PlanError, match=f"has digest {digest(bases['bart'])}, .*copy has {digest(copy)}") as raised:
        pareft.load(copy, plan)
    assert "make a plan for this one" in str(raised.value)


def test_a_config_alone_has_a_plan_without_weights(copy):
    (copy / "model.safetensors").unlink()
    assert pareft.plan(copy).weights_digest is None


FROM_CACHE = """
import sys, torch, pareft
plan = pareft.plan("someone/something", layers={"encoder": [0, 3], "decoder": [5]})
model = pareft.load("someone/something", plan)
expected = pareft.load(sys.argv[1], plan)
assert all(torch.equal(one, other) for one, other in zip(model.state_dict().values(), expected.state_dict().values(), strict=True))
pinned = pareft.plan("someone/something", revision="0" * 40, by="everything")
assert pinned.revision == "0" * 40
try:
    pareft.load("someone/else")
except pareft.PareftError as error:
    assert "\\n" not in str(error)
    print(error)
"""


def test_the_hubs_cache_is_enough_offline(bases, tmp_path):
    cached = tmp_path / "hub" / "models--someone--something"
    shutil.copytree(bases["bart"], cached / "snapshots" / ("0" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", FROM_CACHE, str(bases["bart"])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "cannot read base 'someone/else' from the Hub or its cache" in done.stdout
