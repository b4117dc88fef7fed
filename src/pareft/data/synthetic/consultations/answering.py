"""The doctor's answer: the likely condition, what was asked, what to do, and when to come back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pareft.data.synthetic.consultations.query import Query
from pareft.data.synthetic.consultations.remarks import CATCHING, ELDERLY, ELDERLY_FROM, SERIOUS, SPANS, Topic
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.layout import capitalise

Part = Literal["cause", "measures", "remarks", "span", "elderly", "warning"] | Topic
FRAMES: dict[Part, tuple[str, ...]] = {
    "cause": (
        "Your description is most suggestive of {name}, {cause}.",
        "The likely diagnosis is {name}, {cause}.",
        "These symptoms correspond to {name}, {cause}.",
    ),
    "measures": (
        "I would recommend that you {measures}.",
        "Kindly {measures}.",
        "The following steps usually help: {measures}.",
    ),
    "medicine": (
        "Regarding medication, I would suggest {medicine}.",
        "The preferred treatment would be {medicine}.",
    ),
    "test": (
        "Concerning investigations, I would suggest {test}.",
        "The appropriate investigation would be {test}.",
    ),
    "course": (
        "The expected time frame is {course}.",
        "As regards duration, the usual estimate is {course}.",
    ),
    "avoid": (
        "{Avoid} should be avoided.",
        "Kindly refrain from {avoid}.",
    ),
    "warning": (
        "Consult {specialist} urgently if {warnings}.",
        "You should visit {specialist} without delay if {warnings}.",
        "If {warnings}, {specialist} must be seen immediately.",
    ),
}


@dataclass(frozen=True)
class Reply:
    """How doctors of a forum answer: the share of answers with a closing, the mean number of measures, and the parts after what was
    asked, those of `shares` that often only.
    """

    greetings: tuple[str, ...]
    closings: tuple[str, ...]
    closed: float
    measures: float
    parts: tuple[Part, ...]
    shares: dict[Part, float]


def write_answer(query: Query, reply: Reply, dice: Dice) -> str:
    """What the doctor writes back: the cause first, then what was asked, then what is said to everybody."""
    chosen = [part for part in reply.parts if part not in reply.shares or dice.chance(reply.shares[part])]
    asked: tuple[Part, ...] = query.topics
    parts = ("cause", *asked, *(part for part in chosen if part not in asked))
    sentences = [sentence for part in parts for sentence in _write_part(part, query, reply, dice)]
    closing = [dice.pick(reply.closings)] if dice.chance(reply.closed) else []
    return " ".join([dice.pick(reply.greetings), *sentences, *closing])


def _write_part(part: Part, query: Query, reply: Reply, dice: Dice) -> list[str]:
    condition = query.condition
    if part == "serious":
        return [dice.pick(SERIOUS[condition.attention])]
    if part == "catching":
        return [dice.pick(CATCHING[condition.contagious])]
    if part == "span":
        return [dice.pick(SPANS[query.span])]
    if part == "elderly":
        return [dice.pick(ELDERLY)] if query.age >= ELDERLY_FROM else []
    if part == "remarks":
        return [_answer_remarks(query, dice)]
    return [dice.pick(FRAMES[part]).format_map(_fill(part, query, reply, dice))]


def _answer_remarks(query: Query, dice: Dice) -> str:
    """One sentence about all that was tried and was before."""
    bacterial = query.condition.bacterial
    answers = [dice.pick((bacterial and remark.if_bacterial) or remark.answered) for remark in query.remarks]
    return f"{capitalise('; '.join(answers))}."


def _fill(part: Part, query: Query, reply: Reply, dice: Dice) -> dict[str, str]:
    """What the frames of a part are filled with."""
    condition = query.condition
    if part == "cause":
        return {"name": condition.name, "cause": dice.pick(condition.causes)}
    if part == "measures":
        return {"measures": _list(dice.some(condition.measures, reply.measures), "and")}
    if part == "avoid":
        avoid = _list(dice.some(condition.avoid, 2), "and")
        return {"avoid": avoid, "Avoid": capitalise(avoid)}
    if part == "warning":
        return {"specialist": condition.specialist, "warnings": _list(dice.some(condition.warnings, 2), "or")}
    if part == "course":
        return {"course": condition.course}
    return {"medicine": dice.pick(condition.medicines)} if part == "medicine" else {"test": dice.pick(condition.tests)}


def _list(items: Sequence[str], conjunction: str) -> str:
    """a, b and c."""
    return f" {conjunction} ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)
