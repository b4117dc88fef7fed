"""Every figure of Tables 3 to 6 that counts parameters or layers, met by counting; nothing is downloaded."""

from itertools import pairwise

import pytest

from pareft.errors import ModelError
from pareft.recipe import select_arm
from pareft.reproduction.counting import SHAPES, count_arm, open_shape
from pareft.reproduction.experiments import read_experiment
from pareft.reproduction.paper import NOT_REPRODUCIBLE, TABLES

ROWS = [(table, row) for table, found in TABLES.items() for row in found.rows]
EXACT = {  # trained, total: counted on the release's classes, T5 without the biases that it adds
    ("discharge-bart", "full"): (406_291_456, 406_291_456),
    ("discharge-bart", "l-prun"): (288_719_872, 288_719_872),
    ("discharge-bart", "lora"): (4_055_040, 410_223_616),
    ("discharge-bart", "lora+l-prun"): (2_703_360, 291_341_312),
    ("discharge-bart", "lora-qv"): (2_433_024, 408_650_752),
    ("discharge-bart", "lora-qv+l-prun"): (1_622_016, 290_292_736),
    ("discharge-t5", "full"): (737_668_096, 737_668_096),
    ("discharge-t5", "l-prun"): (444_015_616, 444_015_616),
    ("discharge-t5", "lora"): (7_864_320, 745_532_416),
    ("discharge-t5", "lora+l-prun"): (4_587_520, 448_603_136),
}


def count(tmp_path, recipe, arm):
    return count_arm(select_arm(read_experiment(recipe, [arm], {}, data=tmp_path, bases={}), arm))


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[f"{table}/{row.recipe}/{row.arm}" for table, row in ROWS])
def test_trained_parameters_are_the_papers(table, row, tmp_path):
    counted = count(tmp_path, row.recipe, row.arm)
    if (table, row.arm) in NOT_REPRODUCIBLE:
        assert (row.trained_millions, counted.millions_as_paper) == (1.2, 1.6)
    else:
        assert counted.millions_as_paper == row.trained_millions
    deep = {"bart": 12, "t5": 24}[row.recipe.rpartition("-")[2]]
    pruned = {12: 8, 24: 14}[deep] if "l-prun" in row.arm else deep
    assert counted.layers == {"encoder": pruned, "decoder": pruned}


def test_rows_of_one_arm_agree_in_all_tables():
    seen = {}
    for _, row in ROWS:
        figures = (row.speed_percent, row.trained_millions, row.memory_gigabytes, row.scores[:2])
        assert seen.setdefault((row.recipe, row.arm), figures) == figures


@pytest.mark.parametrize("place", EXACT, ids="/".join)
def test_counts_are_exact(place, tmp_path):
    counted = count(tmp_path, *place)
    assert (counted.trained, counted.total) == EXACT[place]


def test_kept_layers_are_those_of_table_2(tmp_path):
    bart, t5 = (count(tmp_path, f"discharge-{side}", "l-prun").plan.layers for side in ("bart", "t5"))
    assert {*bart.values()} == {(0, 1, 2, 4, 6, 8, 10, 11)}
    assert {*t5.values()} == {(0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 23)}


def test_only_the_rank_changes_lora(tmp_path):
    """Trained parameters grow by the same number with every rank; the biases stay."""
    trained = [count(tmp_path, "discharge-bart", arm).trained for arm in ("lora-ffn-r4", "lora-ffn-r8", "lora", "lora-ffn-r32")]
    assert [after - before for before, after in pairwise(trained)] == [983_040, 1_966_080, 3_932_160]


def test_nothing_is_on_a_device(tmp_path):
    assert {parameter.device.type for parameter in count(tmp_path, "discharge-t5", "lora").model.parameters()} == {"meta"}


def test_shapes_are_the_bases_own():
    for name in SHAPES:
        base = open_shape(name)
        assert base.name == name
        assert base.config.d_model == 1024


def test_another_t5_has_no_embeddings_to_spare(tmp_path, bases):
    recipe = read_experiment("discharge-t5", ["full"], {}, data=tmp_path, bases={"t5": str(bases["t5"])})
    counted = count_arm(select_arm(recipe, "full"))
    assert counted.as_paper == counted.trained == counted.total


def test_what_is_no_encoder_decoder_is_one_line(tmp_path):
    (tmp_path / "gpt").mkdir()
    (tmp_path / "gpt" / "config.json").write_text('{"model_type": "gpt2"}')
    recipe = read_experiment("discharge-bart", ["full"], {}, data=tmp_path, bases={"bart": str(tmp_path / "gpt")})
    with pytest.raises(ModelError, match="text encoder-decoders"):
        count_arm(select_arm(recipe, "full"))


def test_only_configs_are_read(tmp_path, bases, monkeypatch):
    monkeypatch.setattr("pareft.pruning.find_tensors", lambda _: pytest.fail("looked for weights"))
    monkeypatch.setattr("pareft.readying.list_tensors", lambda _: pytest.fail("looked for weights"))
    recipe = read_experiment("discharge-bart", ["lora+l-prun"], {}, data=tmp_path, bases={"bart": str(bases["bart"])})
    assert count_arm(select_arm(recipe, "lora+l-prun")).plan.weights_digest is None


def test_a_recipes_own_plan_is_counted(tmp_path, bases):
    import pareft

    (tmp_path / "p.json").write_text(pareft.plan(bases["bart"], layers={"encoder": [0, 1], "decoder": [0]}).to_json())
    changes = {"prune.plan": str(tmp_path / "p.json")}
    recipe = read_experiment("discharge-bart", ["l-prun"], changes, data=tmp_path, bases={"bart": str(bases["bart"])})
    assert count_arm(select_arm(recipe, "l-prun")).layers == {"encoder": 2, "decoder": 1}
