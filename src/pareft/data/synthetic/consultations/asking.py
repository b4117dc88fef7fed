"""The patient's letter: lay, in the first person, with much that does not matter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pareft.data.synthetic.consultations.query import Query
from pareft.data.synthetic.consultations.remarks import CIRCUMSTANCES, QUESTIONS
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.layout import capitalise

OPENINGS = (
    "I am a {age} year old {sex} and I have had {complaint} for {time}",
    "I am {age}, {sex}, and for {time} now I have {complaint}",
    "I have {complaint} since {time} and I am {age} years old ({sex})",
    "for {time} I keep fighting {complaint}, I am a {sex} of {age}",
    "a {sex} of {age} writes you, I got {complaint} about {time} ago and still have it",
)
LINKS = (" and ", ", ", " and also ")
ENDINGS = ("please help me", "thank you so much", "waiting for your reply", "thanks", "I hope you can help me")
HURRIED = {"please": "pls", "because": "bcoz", "doctor": "dr", "and": "n", "you": "u", "thanks": "thx", "years": "yrs", "I": "i"}
HURRIED_WORD = re.compile(rf"\b(?:{'|'.join(HURRIED)})\b")


@dataclass(frozen=True)
class Letter:
    """How patients of a forum write: means of what is told; the share of clauses that go on in the same sentence, which holds
    `longest` at most; and the shares of letters with an ending, and of those in a hurry.
    """

    greetings: tuple[str, ...]
    details: float
    circumstances: float
    joined: float
    longest: int
    ended: float
    hurried: float


def write_question(query: Query, letter: Letter, dice: Dice) -> str:
    """What the patient writes: the complaint first, the questions last, and the rest in any order."""
    opening = dice.pick(OPENINGS).format(
        age=query.age, sex=query.sex, complaint=dice.pick(query.condition.complaints), time=query.time
    )
    clauses = dice.some(query.condition.details, letter.details)
    told = [dice.pick(remark.said) for remark in query.remarks] + dice.some(CIRCUMSTANCES, letter.circumstances)
    dice.rng.shuffle(told)
    asked = [dice.pick(QUESTIONS[topic]) for topic in query.topics]
    first, *others = [f"{sentence}." for sentence in _link([opening, *clauses, *told], letter, dice)]
    others += [f"{sentence}?" for sentence in _link(asked, letter, dice)]
    if dice.chance(letter.ended):
        others.append(f"{dice.pick(ENDINGS)}.")
    text = capitalise(" ".join([f"{dice.pick(letter.greetings)} {first}".strip(), *map(capitalise, others)]))
    return HURRIED_WORD.sub(_hurry, text) if dice.chance(letter.hurried) else text


def _link(clauses: Sequence[str], letter: Letter, dice: Dice) -> list[str]:
    """Sentences of some clauses each."""
    sentences: list[str] = []
    length = letter.longest
    for clause in clauses:
        if length < letter.longest and dice.chance(letter.joined):
            sentences[-1] += dice.pick(LINKS) + clause
            length += 1
        else:
            sentences.append(clause)
            length = 1
    return sentences


def _hurry(found: re.Match[str]) -> str:
    return HURRIED[found[0]]
