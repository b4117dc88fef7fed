"""The table of families, from the rows of `pareft.models.families`."""

from pareft.models.families import COMPOSITES, FAMILIES, REFUSED
from pareft.models.families.schema import Family

FAMILY_COLUMNS = ("Family", "Kind", "Layers", "Heads", "Neurons", "Remarks")


def list_families() -> list[tuple[str, ...]]:
    """A row for each family, cells as text."""
    rows = [_describe(family) for family in FAMILIES.values()]
    joined = [(name, "encoder-decoder", "of both", "–", "–", "an encoder's row and a decoder's, joined") for name in COMPOSITES]
    refused = [(name, "–", "refused", "–", "–", reason) for name, reason in REFUSED.items()]
    return [*rows, *joined, *refused]


def write_families() -> str:
    """The table as Markdown."""
    lines = [FAMILY_COLUMNS, tuple("---" for _ in FAMILY_COLUMNS), *list_families()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _describe(family: Family) -> tuple[str, ...]:
    depth = ", ".join(dict.fromkeys(stack.depth_field for stack in family.stacks))
    widths = [stack.width for stack in family.stacks if stack.width]
    if not widths:
        return family.model_type, family.kind, depth, "–", "–", _remark(family)
    width = widths[0]
    unit = "key-value groups" if width.groups_field else "heads"
    heads = f"{unit}: {'stock if uniform' if width.head_dim_field else 'with plan, or padded'}"
    shared = len(widths) > 1 and widths[0].neurons_field == widths[1].neurons_field
    neurons = f"stock if uniform{' over both stacks' if shared else ' per stack' if len(widths) > 1 else ''}"
    return family.model_type, family.kind, depth, heads, neurons, _remark(family)


def _remark(family: Family) -> str:
    remarks = []
    if lists := sorted({field for stack in family.stacks for field in stack.lists}):
        remarks.append(f"{', '.join(lists)} trimmed with the layers")
    if any(stack.carried for stack in family.stacks):
        remarks.append("the first layer's position bias moves to the new first layer")
    if family.cache_by_encoder:
        remarks.append("decoder not deeper than encoder")
    remarks += [f"layer 0 stays: {stack.first_stays}" for stack in family.stacks if stack.first_stays]
    remarks += [f"refused where {field} is not {value}" for field, value in family.fixed]
    if not family.query_value:
        remarks.append("query, key and value are one projection: no target `qv`")
    return "; ".join(remarks) or "–"
