"""The model card of an exported run."""

from pathlib import Path

from pareft.models.plan import PruningPlan
from pareft.named_tasks import NAMED_TASKS
from pareft.records import RunRecord
from pareft.run_folder import ADAPTER, RECIPE, read_task
from pareft.tuning.storage import name_kind, read_adapter


def describe_checkpoint(record: RunRecord, plan: PruningPlan, run: Path, notes: list[str]) -> str:
    """The model card: what it is, how it was made, what it scored."""
    recipe = (run / RECIPE).read_text(encoding="utf-8")
    adapted = (run / ADAPTER).is_dir()
    how = f"{name_kind(read_adapter(run / ADAPTER).config)} merged into the weights" if adapted else "all weights trained"
    kept = "\n".join(f"- {note}" for note in notes)
    layers = "; ".join(f"{stack} {', '.join(map(str, numbers))}" for stack, numbers in plan.layers.items())
    return f"""---
base_model: {plan.base}
library_name: transformers
tags: [pruning, pareft]
---

# {plan.base}, pruned and fine-tuned

{kept}
- {how}; {record.parameters.trainable:,} of {record.parameters.total:,} parameters trained, {record.precision}, seed {record.seed}
- plan `{plan.fingerprint}`: the base's layers that are kept, 0-based: {layers}
{list_scores(record, writes=read_task(run) == "generation")}
## Recipe

```yaml
{recipe}```
"""


def describe_base(plan: PruningPlan, *, stock: bool) -> str:
    """The card of a pruned base that was not trained: what is kept, what loads it, and what it is for."""
    loads = "`transformers` loads it as any checkpoint." if stock else "No stock config can say its widths: `pareft.load` reads it."
    return f"""---
base_model: {plan.base}
library_name: transformers
tags: [pruning, pareft]
---

# {plan.base}, pruned

{plan.describe()}; plan `{plan.fingerprint}` in `plan.json`; not trained. {loads} Adapters of this plan sit on it.
"""


def list_scores(record: RunRecord, *, writes: bool) -> str:
    """The scores, what they were taken on, and where texts are written, how."""
    protocol = record.protocol
    data = protocol.data if protocol.data in NAMED_TASKS else Path(protocol.data).name
    rows = "\n".join(f"| {name} | {value:.2f} |" for name, value in record.scores.items())
    how = f", {protocol.num_beams} beams, at most {protocol.max_new_tokens} new tokens" if writes else ""
    return f"""
## Scores

| metric | value |
| --- | ---: |
{rows}

On {protocol.examples.get("test")} test examples of `{data}` (digest {protocol.data_digest}){how}.
"""
