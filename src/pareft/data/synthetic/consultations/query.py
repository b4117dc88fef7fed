"""A patient with a condition: what is told, and what is asked."""

from dataclasses import dataclass

from pareft.data.synthetic.consultations.airways import AIRWAYS
from pareft.data.synthetic.consultations.body import BODY
from pareft.data.synthetic.consultations.conditions import Condition, Sex, Span
from pareft.data.synthetic.consultations.gut import GUT
from pareft.data.synthetic.consultations.head import HEAD
from pareft.data.synthetic.consultations.limbs import LIMBS
from pareft.data.synthetic.consultations.remarks import HISTORY, QUESTIONS, TRIED, Remark, Topic
from pareft.data.synthetic.consultations.skin import SKIN
from pareft.data.synthetic.discharge.dice import Dice

CONDITIONS = (*HEAD, *AIRWAYS, *GUT, *SKIN, *LIMBS, *BODY)
FEWEST_AND_MOST: dict[Span, tuple[int, int]] = {"days": (2, 9), "weeks": (2, 7), "months": (2, 11)}


@dataclass(frozen=True)
class Query:
    """What one patient has: `remarks` are what was tried and what was before, in the order in which they are told."""

    condition: Condition
    sex: Sex
    age: int
    span: Span
    time: str
    remarks: tuple[Remark, ...]
    topics: tuple[Topic, ...]


def draw_query(dice: Dice, *, histories: float, topics: float) -> Query:
    """Somebody with any of the conditions who tells so much of the past, and asks about so many topics, on average."""
    condition = dice.pick(CONDITIONS)
    span = dice.pick(condition.spans)
    least, most = FEWEST_AND_MOST[span]
    youngest, oldest = condition.ages
    return Query(
        condition=condition,
        sex=dice.pick(condition.sexes),
        age=youngest + dice.below(oldest - youngest + 1),
        span=span,
        time=f"{least + dice.below(most - least + 1)} {span}",
        remarks=(TRIED[dice.pick(tuple(TRIED))], *_draw_history(condition, histories, dice)),
        topics=tuple(dice.some(tuple(QUESTIONS), topics)),
    )


def _draw_history(condition: Condition, mean: float, dice: Dice) -> list[Remark]:
    """Who was healthy has no other history."""
    names = dice.some([name for name in HISTORY if name not in condition.unless], mean)
    return [HISTORY[name] for name in (["healthy"] if "healthy" in names else names)]
