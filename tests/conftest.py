"""Tiny bases made from configs, a tiny tokenizer, tiny data; no network."""

import gc
import os
import socket
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, settings

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny matrices; the suite may run beside others

import torch
from tiny import make_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForSeq2SeqLM, BartConfig, PreTrainedTokenizerFast, T5Config

from pareft import cli
from pareft.evaluation.generation import make_batches, write_batch

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
FAMILIES = ("bart", "t5", "t5-gated")
VOCABULARY = 300
TEXTS = [f"the {s} {f} is seen in the {p} lung" for s in ("small", "large") for f in ("nodule", "mass") for p in ("left", "right")]


def pytest_collection_finish():
    """What is imported by now stays: the collector, which every training calls, need not go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """A test that reaches for the network fails."""
    connect = socket.socket.connect

    def refuse(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reached for the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


def make_config(family, *, encoder=8, decoder=6):
    """A tiny config; the stacks differ in depth, so that a mix-up of them shows."""
    if family == "bart":
        return BartConfig(
            d_model=16, encoder_layers=encoder, decoder_layers=decoder, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=24, decoder_ffn_dim=32, vocab_size=VOCABULARY, max_position_embeddings=64, dropout=0.0,
            pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2, init_std=0.2,
        )  # fmt: skip
    return T5Config(
        d_model=16, d_kv=8, d_ff=24, num_layers=encoder, num_decoder_layers=decoder, num_heads=2, vocab_size=VOCABULARY,
        dropout_rate=0.0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, initializer_factor=1.0,
        feed_forward_proj="gated-gelu" if family == "t5-gated" else "relu", tie_word_embeddings=family == "t5",
    )  # fmt: skip


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


def save_base(family, folder, **depths):
    """Save a tiny base with its tokenizer and return the folder."""
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(make_config(family, **depths))
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms are not 0 and 1, so that a lost one shows
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.eval().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return Path(folder)


def save_tiny(family, folder):
    """Save a tiny model of `tiny.MAKERS` with the tests' tokenizer, whose vocabulary is its own then; returns the folder."""
    tokenizer, model = make_tokenizer(), make_model(family)
    model.resize_token_embeddings(len(tokenizer))
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config, name, getattr(tokenizer, name))
        if model.can_generate():
            setattr(model.generation_config, name, getattr(tokenizer, name))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def learn_briefly(best_metric):
    """What a recipe says of a training of six steps, after which nothing was learnt, for a run with LoRA on every other layer."""
    return {
        "prune": {"layers": "alternating"},
        "adapt": {"target": "all", "rank": 4, "dropout": 0.0},
        "train": {
            "max_steps": 6,
            "batch_size": 8,
            "warmup_steps": 0,
            "learning_rate": 5e-3,
            "evaluate_every": 0.5,
            "best_metric": best_metric,
            "precision": "fp32",
        },
        "measure": None,
    }


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """Folders of tiny bases by family."""
    return {family: save_base(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def base(request, bases):
    """Every family's tiny base in turn."""
    return bases[request.param]


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return {"input_ids": torch.randint(4, VOCABULARY, (2, 11)), "labels": torch.randint(4, VOCABULARY, (2, 7))}


def write_all(model, tokenizer, sources, settings, *, max_source_tokens):
    """What a model writes for every source, in memory."""
    model.eval()
    batches = make_batches(enumerate(sources), tokenizer, settings, max_source_tokens=max_source_tokens)
    return {
        i: text for batch in batches for i, text in zip(batch.indices, write_batch(model, tokenizer, batch, settings), strict=True)
    }


@pytest.fixture
def table(tmp_path):
    """Two text columns as CSV: 20 rows."""
    path = tmp_path / "table.csv"
    rows = [{"source": f"case {i}: {TEXTS[i % 8]}", "target": TEXTS[i % 8].split(" is ")[0]} for i in range(20)]
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture
def values(bases, table):
    """A small recipe as nested values."""
    return {
        "base": str(bases["bart"]),
        "data": {"path": str(table), "max_source_tokens": 32, "max_target_tokens": 16},
        "prune": {"layers": "alternating"},
        "adapt": {"rank": 2, "alpha": 4, "dropout": 0.0},
        "train": {
            "epochs": 1,
            "max_steps": 4,
            "batch_size": 4,
            "warmup_steps": 1,
            "evaluate_every": 0.5,
            "evaluate_share": None,
            "learning_rate": 1e-2,
        },
        "evaluate": {"num_beams": 2, "max_new_tokens": 8, "batch_size": 2},
        "measure": {"steps": 2, "warmup_steps": 1},
        "arms": {"full": {"prune": None, "adapt": None}, "lora+l-prun": {}},
    }


@pytest.fixture(scope="session")
def shared():
    """The folder of real data and weights; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("PAREFT_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder}; set PAREFT_SHARED")
    return folder


def call(monkeypatch, capsys, *arguments):
    """Run `pareft …`; returns exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["pareft", *map(str, arguments)])
    monkeypatch.setattr(cli, "_quiet", lambda: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err
