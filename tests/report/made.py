"""Reports made by hand: one has everything, one the least, one only texts that try to be more than text."""

from pareft.comparison import Comparison, Row
from pareft.records import ArmEfficiency, EfficiencyRecord, PlanningRecord, Protocol, ScoreRecord
from pareft.reporting import ArmReport, Example, Report

HOSTILE = (
    "<script>window.ran = true</script>",
    "</style><style>body{display:none}</style>",
    '"><img src=x onerror="window.ran = true">',
    "{{ 7 * 7 }} {% raw %} &amp; $x^2$ \\ ' -->",
)
ARMS = {  # arm: speed, memory, trained, quality with its interval
    "full": (100.0, 100.0, 6_210_560, (100.0, None, None)),
    "l-prun": (141.0, 72.0, 4_359_168, (101.2, 99.0, 103.1)),
    "lora": (97.0, 118.0, 614_400, (95.7, 94.1, 97.2)),
    "lora+l-prun": (143.0, 86.0, 409_600, (94.8, 93.1, 96.4)),
}


def score(value, low=None, high=None):
    return ScoreRecord(value=value, low=low, high=high)


def make_row(arm, speed, memory, trained, kept):
    dropped = "prun" in arm
    first = kept[1] is None
    return Row(
        arm=arm, speed_percent=speed, memory_percent=memory, trainable=trained, trainable_percent=trained / 62_105.6,
        total=6_210_560, layers_kept={"encoder": 2 if dropped else 3, "decoder": 3}, layers_dropped_ratio=1 / 6 if dropped else 0,
        scores={"rouge1": kept[0] / 2, "rouge2": kept[0] / 4}, kept={name: score(*kept) for name in ("rouge1", "rouge2")},
        quality_kept=score(*kept), intervals={name: score(kept[0] / 2, 30, 60) for name in ("rouge1", "rouge2")},
        differences={} if first else {"rouge1": score(-1.5, -2, -1), "rouge2": score(0.2, -1, 1)},
    )  # fmt: skip


def make_planning(scores=None, path=()):
    return PlanningRecord(
        by="influence", fingerprint="0a1b", data="d", data_digest="e", examples=4, path=list(path), seconds=1.0,
        scores={"encoder": [2.0, 0.5, 1.0], "decoder": [1.0, 2.0, 3.0]} if scores is None else scores,
    )  # fmt: skip


def make_arm(arm):
    history = [{"loss": 4 / step, "step": step} for step in (10, 20, 30)] + [
        {"eval_rouge1": 30 + step, "step": step} for step in (10, 30)
    ]
    return ArmReport(
        arm=arm, plan_fingerprint="0a1b", depths={"encoder": 3, "decoder": 3},
        layers={"encoder": [0, 2] if "prun" in arm else [0, 1, 2], "decoder": [0, 1, 2]}, seed=42, steps=30, best_step=30,
        train_seconds=100.5, train_evaluation_seconds=10, evaluate_seconds=7, precision="fp32", versions={"python": "3.11"},
        hardware={"processor": "one", "threads": 2, "bf16": True}, history=history,
        planning=make_planning() if arm == "lora+l-prun" else None,
        widths={"encoder": 4} if arm == "lora+l-prun" else {},
        kept={"encoder": {0: 4, 2: 2}} if arm == "lora+l-prun" else {},
    )  # fmt: skip


def make_protocol(**changes):
    values = dict(
        data="notes.csv", data_digest="06a9", source="source", target="target", prefix="", examples={"train": 8, "test": 2},
        max_source_tokens=512, max_target_tokens=64, metrics=["rouge"], sentence_splitting="a line per sentence",
        num_beams=4, max_new_tokens=64, no_repeat_ngram_size=3, seed=42,
    )  # fmt: skip
    return Protocol(**values | changes)


def make_example(number, arms, *, reference="No pleural effusions are seen.", text="No effusion is seen.", source=None):
    scores = {arm: {"rouge1": 10.0 * (number + place)} for place, arm in enumerate(arms)}
    predictions = dict.fromkeys(arms, f"{text} {number}")
    return Example(id=f"case {number}", reference=reference, predictions=predictions, scores=scores, source=source)


def make_report(title="four arms"):
    """Everything a report can have."""
    rows = [make_row(arm, *values) for arm, values in ARMS.items()]
    measured = {
        arm: ArmEfficiency(
            digest="d", step_seconds=[0.5, 0.6, 0.4], median_step_seconds=0.5, peak_bytes=2_000_000_000, trainable=1, total=2
        )
        for arm in ARMS
    }
    efficiency = EfficiencyRecord(
        method="side by side", steps=3, warmup_steps=1, batch_size=4, versions={}, hardware={}, arms=measured
    )
    comparison = Comparison(
        title=title, base="pareft-mini", examples={"train": 8, "test": 2}, quality=["rouge1", "rouge2"],
        headlines=["rouge1", "rouge2"], rows=rows, efficiency=efficiency,
    )  # fmt: skip
    examples = [make_example(number, ARMS, source=f"A long note, {number}.") for number in range(12)]
    return Report(comparison=comparison, protocol=make_protocol(), arms=[make_arm(arm) for arm in ARMS], examples=examples)


def make_bare():
    """No measurement, no log, no examples, no quality."""
    rows = [
        Row(
            arm=arm, speed_percent=None, memory_percent=None, trainable=10, trainable_percent=10, total=100,
            layers_kept={"encoder": 3}, layers_dropped_ratio=0, scores={}, kept={}, quality_kept=None,
        )
        for arm in ("one", "two")
    ]  # fmt: skip
    comparison = Comparison(title="bare", base="b", examples={"test": 1}, quality=[], headlines=[], rows=rows, efficiency=None)
    arms = [make_arm(arm).model_copy(update={"history": []}) for arm in ("one", "two")]
    return Report(comparison=comparison, protocol=make_protocol(), arms=arms, examples=[])


def make_hostile():
    """Wherever a record holds text, it holds all that is hostile."""
    text = " ".join(HOSTILE)
    report, named = make_report(text), {arm: f"{arm} {text}" for arm in ARMS}
    efficiency = report.comparison.efficiency
    measured = efficiency.model_copy(update={"method": text, "arms": {named[arm]: each for arm, each in efficiency.arms.items()}})
    rows = [row.model_copy(update={"arm": named[row.arm]}) for row in report.comparison.rows]
    comparison = report.comparison.model_copy(update={"base": text, "rows": rows, "efficiency": measured})
    arms = [
        arm.model_copy(
            update={"arm": named[arm.arm], "plan_fingerprint": text, "precision": text, "versions": {text: text},
                    "depths": {text: 3}, "layers": {text: [0]}, "widths": {text: 4}, "kept": {text: {0: 2}},
                    "hardware": {text: text}}
        )
        for arm in report.arms
    ]  # fmt: skip
    example = make_example(1, named.values(), reference=text, text=text, source=text).model_copy(update={"id": text})
    protocol = make_protocol(data=text, prefix=text, metrics=[text], scorers={text: {text: text}})
    return Report(comparison=comparison, protocol=protocol, arms=arms, examples=[example])
