"""What is behind a patient's question, as plain data: the sibling modules hold the conditions of a part of the body each."""

from dataclasses import dataclass
from typing import Literal

Span = Literal["days", "weeks", "months"]
Sex = Literal["man", "woman"]


@dataclass(frozen=True)
class Condition:
    """A condition, in the patient's words and in the doctor's.

    `complaints` are what one has, `details` are clauses; both are lay and in the first person. What the doctor says is `name` and
    `causes`, which follow a comma; `measures` after "to"; `avoid`, `medicines` and `tests`, which are things; `warnings` after
    "if"; `course`, how long it takes; and the `specialist`. `attention`: it is to be examined soon. `unless`: who has these in
    his history does not come with it, because what is advised would not suit him.
    """

    name: str
    causes: tuple[str, ...]
    complaints: tuple[str, ...]
    details: tuple[str, ...]
    measures: tuple[str, ...]
    avoid: tuple[str, ...]
    medicines: tuple[str, ...]
    tests: tuple[str, ...]
    warnings: tuple[str, ...]
    course: str
    specialist: str
    spans: tuple[Span, ...]
    ages: tuple[int, int] = (18, 74)
    sexes: tuple[Sex, ...] = ("man", "woman")
    attention: bool = False
    bacterial: bool = False
    contagious: bool = False
    unless: tuple[str, ...] = ()
