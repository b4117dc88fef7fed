"""Laws of the bench: the same batches and the same parameters for every way, operations that are counted, results that stay."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from conftest import call, make_config
from transformers import AutoModelForSeq2SeqLM

from pareft.bench import Request, bench
from pareft.bench.arms import ARMS, make_recipe
from pareft.bench.batches import Lengths, draw_lengths, draw_rows, parse_lengths
from pareft.bench.grouping import make_groups
from pareft.bench.record import ANCHOR, BenchRecord, Case, Entry
from pareft.bench.shapes import SHAPES, open_config, write_base
from pareft.errors import RunError
from pareft.models.checkpoint import load_tokenizer
from pareft.models.loading import load
from pareft.models.structure import build_on_meta, count_parameters
from pareft.operations import build_counted, count_operations, measure_ceiling
from pareft.report.bench_table import COLUMNS, format_entry, write_markdown

SHORT, STREAM = Lengths(source=16, target=8), Lengths(source=64, target=32, mixed=True)


@pytest.fixture(scope="module", params=["bart", "t5-gated"])
def shape(request, tmp_path_factory):
    """A folder with a tiny config and nothing else."""
    folder = tmp_path_factory.mktemp(request.param)
    make_config(request.param, encoder=3, decoder=3).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One bench of a tiny BART: a full arm and one with both, in every way."""
    folder = tmp_path_factory.mktemp("shape")
    make_config("bart", encoder=4, decoder=4).save_pretrained(folder)
    request = Request(
        {str(folder): [SHORT]}, arms=["full", "lora-ffn+l-prun"], ways=["pareft", "stock"], batch_size=2, steps=2, warmup_steps=1,
        new_tokens=3,
    )  # fmt: skip
    (case,) = bench(request)
    return case


def make_case(groups, **more):
    values = {"shape": "x", "lengths": "8/8", "batch_size": 1, "warmup_steps": 0, "steps": 1, "new_tokens": 0, "method": "m"}
    hardware = {"threads": 2, "processor": "p"}
    entries = [[make_entry(*key, seconds) for key, seconds in group.items()] for group in groups]
    return Case(**values | {"versions": {}, "hardware": hardware, "operations": {}, "groups": entries} | more)


def make_entry(arm, way, seconds):
    return Entry(
        arm=arm,
        way=way,
        precision="fp32",
        trainable=1,
        total=2,
        load_seconds=1,
        step_seconds=[seconds],
        ceilings=[1e9],
        peak_bytes=10**9,
    )


def test_every_way_trains_the_same_parameters(measured):
    trained = {}
    for entry in measured.entries:
        trained.setdefault(entry.arm, set()).add((entry.trainable, entry.total))
    assert {arm: len(counts) for arm, counts in trained.items()} == {"full": 1, "lora-ffn+l-prun": 1}
    assert min(trained["lora-ffn+l-prun"])[0] < min(trained["full"])[0]


def test_everything_asked_for_is_measured(measured):
    assert not measured.failed
    keys = [ANCHOR, *((arm, way) for arm in ("full", "lora-ffn+l-prun") for way in ("pareft", "stock"))]
    assert [entry.key for entry in measured.entries] == keys
    for entry in measured.entries:
        assert len(entry.step_seconds) == 2
        assert entry.peak_bytes > 0
        assert {beams: len(found.seconds) for beams, found in entry.writing.items()} == {"greedy": 2, "beam 6": 2}
        assert entry.writing["greedy"].tokens == 2 * 3
        assert measured.ceiling_share(entry) > 0


def test_a_record_reads_back_and_its_table_has_every_cell(measured):
    record = BenchRecord().with_case(measured)
    assert BenchRecord.from_json(record.to_json()) == record
    assert all(len(format_entry(measured, entry)) == len(COLUMNS) for entry in measured.entries)
    rows = [line for line in write_markdown(record).splitlines() if line.startswith("| ")]
    assert len({line.count("|") for line in rows}) == 1
    assert len(rows) == 2 + len(measured.entries)


def test_a_case_measured_anew_replaces_the_old_and_no_other():
    old, other, new = make_case([], shape="a"), make_case([], shape="b"), make_case([], shape="a", steps=9)
    assert BenchRecord(cases=[old, other]).with_case(new).cases == [new, other]
    assert BenchRecord(cases=[old]).with_case(other).cases == [old, other]


def test_ratios_are_within_the_group_and_through_its_anchor_beyond_it():
    case = make_case(
        [{ANCHOR: 4.0, ("full", "stock"): 2.0, ("lora-qv", "stock"): 2.0}, {ANCHOR: 8.0, ("lora-qv", "pareft"): 2.0}],
    )
    fast = next(entry for entry in case.entries if entry.way == "pareft")
    assert case.speed("lora-qv", "pareft") == 4
    assert case.compare(fast, "lora-qv", "stock") == 2
    assert case.compare(fast, "full", "pareft") is None
    assert [entry.median_seconds for entry in case.entries if entry.key == ANCHOR] == [4]
    assert not case.stands_apart


def test_what_was_alone_is_compared_with_the_anchor_and_said_so():
    case = make_case([{ANCHOR: 4.0}, {("lora-qv", "pareft"): 2.0}])
    assert case.speed("lora-qv", "pareft") == 2
    assert case.stands_apart
    assert make_case([{("lora-qv", "pareft"): 2.0}]).speed("lora-qv", "pareft") is None


def test_groups_hold_the_anchor_fit_and_lose_nothing():
    units = [["a"], ["b", "c"], ["d", "e"], ["f"]]
    needs = dict(zip("abcdef", (4, 2, 2, 2, 3, 20), strict=True))
    groups = make_groups(units, needs, anchor="a", room=9)
    assert groups == [["a", "b", "c"], ["a", "d", "e"], ["f"]]
    assert make_groups(units, needs, anchor="a", room=100) == [["a", "b", "c", "d", "e", "f"]]
    assert make_groups(units, needs, anchor="a", room=1) == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]


@pytest.mark.parametrize("size", [1, 4, 8, 10])
def test_a_quarter_of_each_mixed_batch_is_at_full_length(size):
    batches = draw_lengths(STREAM, size=size, rounds=20, seed=3)
    for batch in batches:
        assert len(batch) == size
        assert batch.count((64, 32)) == max(1, size // 4)
    assert len({batch.index((64, 32)) for batch in batches}) > 1 or size == 1


def test_batches_depend_on_the_seed_alone():
    assert draw_lengths(STREAM, size=4, rounds=3, seed=1) == draw_lengths(STREAM, size=4, rounds=3, seed=1)
    assert draw_lengths(STREAM, size=4, rounds=3, seed=1) != draw_lengths(STREAM, size=4, rounds=3, seed=2)
    (batch,) = draw_lengths(STREAM, size=4, rounds=1, seed=1)
    rows = draw_rows(batch, vocabulary=50, end=2, seed=0)
    assert rows == draw_rows(batch, vocabulary=50, end=2, seed=0)
    assert [(len(row["input_ids"]), len(row["labels"])) for row in rows] == batch
    assert all(4 <= token < 50 for row in rows for token in row["input_ids"][:-1])


@pytest.mark.parametrize(
    ("text", "lengths"), [("512/128", (512, 128, False)), ("mixed:16/8", (16, 8, True)), ("mixed", (1024, 128, True))]
)
def test_lengths_are_read(text, lengths):
    found = parse_lengths(text, positions=None)
    assert (found.source, found.target, found.mixed) == lengths
    assert parse_lengths(str(found), positions=None) == found


def test_mixed_keeps_to_the_positions():
    assert str(parse_lengths("mixed", positions=512)) == "mixed:512/128"
    with pytest.raises(RunError, match="64 positions"):
        parse_lengths("128/16", positions=64)


def count(arm, batches, tmp_path):
    return count_operations(build_counted(make_recipe(tmp_path, arm, STREAM, batch_size=1, seed=0)), batches)


def test_operations_follow_from_lengths(shape, tmp_path):
    write_base(tmp_path, shape, seed=0)
    found = count("lora-ffn", [[(33, 9)], [(50, 21)], [(33, 9), (50, 21)], [(64, 32)]], tmp_path)
    assert found[2] == pytest.approx(found[0] + found[1])
    assert found[3:] == pytest.approx(count("lora-ffn", [[(64, 32)]], tmp_path), rel=1e-6)


def test_a_shape_that_pads_by_a_token_of_its_own_is_padded(tmp_path):
    config = make_config("bart", encoder=2, decoder=2)
    config.vocab_size, config.pad_token_id = 5000, 4999
    config.save_pretrained(tmp_path / "shape")
    base = write_base(tmp_path / "base", str(tmp_path / "shape"), seed=0)
    padded = load_tokenizer(base).pad({"input_ids": [[1, 2, 3], [1]]})
    assert padded["attention_mask"] == [[1, 1, 1], [1, 0, 0]]


def test_frozen_weights_and_dropped_layers_need_no_operations(tmp_path):
    write_base(tmp_path, "pareft-mini", seed=0)
    full, lora, both = (count(arm, [[(64, 32)]], tmp_path)[0] for arm in ("full", "lora-ffn", "lora-ffn+l-prun"))
    assert full > lora > both > full / 3


def test_a_step_is_held_against_the_ceiling_of_its_time():
    entry = make_entry("full", "pareft", 1.0).model_copy(update={"step_seconds": [1.0, 2.0, 4.0], "ceilings": [10.0, 5.0, 2.0]})
    case = make_case([]).model_copy(update={"operations": {"full": [4.0, 4.0, 4.0]}, "groups": [[entry]]})
    assert case.ceiling_share(entry) == pytest.approx(0.4)


def test_the_ceiling_is_a_rate():
    assert measure_ceiling("fp32") > 1e8


@pytest.mark.parametrize(("name", "millions"), [("pareft-mini", 6.2), ("bart-large", 406.3), ("t5-large", 737.7)])
def test_shapes_have_the_parameters_of_what_they_are_called(name, millions):
    assert count_parameters(build_on_meta(open_config(name))).total / 1e6 == pytest.approx(millions, abs=0.06)
    assert name in SHAPES


def test_flans_head_is_its_own_as_in_its_checkpoints(tmp_path):
    assert not open_config("flan-t5-base").scale_decoder_outputs
    make_config("t5-gated", encoder=2, decoder=2).save_pretrained(tmp_path / "shape")
    config = json.loads((tmp_path / "shape" / "config.json").read_text()) | {"tie_word_embeddings": False}
    (tmp_path / "shape" / "config.json").write_text(json.dumps(config))
    base = write_base(tmp_path / "base", str(tmp_path / "shape"), seed=0)
    for model in (load(base), AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "base")):
        assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "bart-larg"], "Did you mean bart-large"),
        (["--arms", "full,lorra-qv"], "Did you mean lora-qv"),
        (["--ways", "stok"], "Did you mean stock"),
        (["--lengths", "512"], "give SOURCE/TARGET"),
        (["--lengths", "1024/128"], "512 positions"),
        (["--arms", ""], "name at least one"),
        (["--new-tokens", "200"], "the shortest targets have 128"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, arguments, said):
    code, _, err = call(monkeypatch, capsys, "bench", "--out", tmp_path / "bench", *arguments)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "bench").exists()


def test_a_foreign_record_is_refused_before_anything_is_measured(monkeypatch, capsys, tmp_path):
    (tmp_path / "bench.json").write_text('{"version": 9}')
    code, _, err = call(monkeypatch, capsys, "bench", "--out", tmp_path)
    assert code == 2
    assert "no bench of this version" in err
    assert (tmp_path / "bench.json").read_text() == '{"version": 9}'


def test_help_says_what_can_be_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = call(monkeypatch, capsys, "bench", "--help")
    assert code == 0
    for word in (
        "--shape",
        "--lengths",
        "--arms",
        "--ways",
        "--batch",
        "--steps",
        "--warmup",
        "--new-tokens",
        "--out",
        *SHAPES,
        *ARMS,
    ):
        assert word in out, word


def test_what_fails_is_named_and_the_others_are_kept(monkeypatch, capsys, tmp_path, shape):
    monkeypatch.setattr("pareft.bench._Asking.everyone", fail_for(("full", "pareft")))
    arguments = ["--shape", shape, "--lengths", "16/8", "--arms", "full", "--ways", "pareft"]
    few = ["--batch", "1", "--steps", "1", "--warmup", "0", "--new-tokens", "0"]
    code, _, err = call(monkeypatch, capsys, "bench", "--out", tmp_path, *arguments, *few)
    assert code == 2
    assert "1 could not be measured: full pareft" in err
    (case,) = BenchRecord.from_json((tmp_path / "bench.json").read_text()).cases
    assert [entry.key for entry in case.entries] == [ANCHOR]
    assert "full pareft" in case.failed
    assert "too little memory" in (tmp_path / "bench.md").read_text()


def fail_for(key):
    """The first time everybody is asked, the process of one is ended as the system ends one for want of memory."""
    from pareft.bench import _Asking

    ask = _Asking.everyone

    def everyone(self, what, numbers):
        if what == "step":
            self.alive[key]._process.kill()
        return ask(self, what, numbers)

    return everyone


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_leaves_no_process_and_nothing_half_written(tmp_path):
    shape, place = tmp_path / "shape", tmp_path / ("temporary" + 100 * "y")  # longer than a socket's name may be
    make_config("bart", encoder=4, decoder=4).save_pretrained(shape)
    place.mkdir()
    asked = [
        "--shape",
        shape,
        "--lengths",
        "16/8",
        "--arms",
        "full",
        "--steps",
        "100000",
        "--new-tokens",
        "0",
        "--out",
        tmp_path / "b",
    ]
    started = subprocess.Popen(
        [sys.executable, "-m", "pareft", "bench", *map(str, asked)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    )
    while started.poll() is None and not list(place.glob("pareft-bench-*/pruned/model.safetensors")):
        time.sleep(0.1)
    said = None
    while said is None:  # Python drops an interrupt that comes within a `__del__`
        started.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            _, said = started.communicate(timeout=5)
    assert started.returncode == 130, said
    assert said.strip().splitlines()[-1].startswith("pareft: interrupted; what was measured is written")
    assert not list(place.glob("pareft-bench-*"))
    assert not (tmp_path / "b").exists()


def test_the_json_holds_every_time(measured):
    stored = json.loads(BenchRecord().with_case(measured).to_json())
    assert stored["version"] == 1
    for group in stored["cases"][0]["groups"]:
        assert all(len(entry["step_seconds"]) == 2 for entry in group)
