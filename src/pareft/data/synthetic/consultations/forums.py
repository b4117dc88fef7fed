"""Seeded consultations in the shape of ChatDoctor's files, made of nothing but the sibling modules: nobody stands behind them.

A question tells a condition in lay words, in any order, beside what was tried, what was before, and what does not matter. The
answer names the condition and says what follows from it, from the remarks, from the time it has lasted, from the age, and from what
was asked; hardly a word of it is the patient's, so copying scores badly.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pareft.data.synthetic.consultations.answering import Reply, write_answer
from pareft.data.synthetic.consultations.asking import Letter, write_question
from pareft.data.synthetic.consultations.query import draw_query
from pareft.data.synthetic.discharge.dice import Dice

Forum = Literal["healthcaremagic", "icliniq"]
INSTRUCTION = "If you are a doctor, please answer the medical questions based on the patient's description."


@dataclass(frozen=True)
class Style:
    """A forum: how its patients and its doctors write, and means of what is told of the past and asked."""

    letter: Letter
    reply: Reply
    histories: float
    topics: float


STYLES: dict[Forum, Style] = {
    "healthcaremagic": Style(
        letter=Letter(
            greetings=("Hi doctor,", "Hello doctor,", "Hi,", "Good evening doctor,", "Sir,", ""),
            details=4.2,
            circumstances=1.1,
            joined=0.85,
            longest=3,
            ended=0.3,
            hurried=0.5,
        ),
        reply=Reply(
            greetings=("Hello, thanks for your query.", "Hi, welcome to our forum.", "Hello, thank you for posting here."),
            closings=("Hope this answers your query.", "Wishing you good health.", "Take care.", "I hope this clarifies matters."),
            closed=0.5,
            measures=2.8,
            parts=("measures", "remarks", "elderly", "warning"),
            shares={},
        ),
        histories=0.6,
        topics=1.2,
    ),
    "icliniq": Style(
        letter=Letter(
            greetings=("Hello doctor,", "Hi doctor,", "Dear doctor,"),
            details=4.6,
            circumstances=2.3,
            joined=0.85,
            longest=2,
            ended=0.5,
            hurried=0.0,
        ),
        reply=Reply(
            greetings=(
                "Hello, I have gone through your query carefully and can understand your concern.",
                "Hello, your details were reviewed by our panel with due attention.",
                "Hi, thank you for consulting our panel, whose opinion is given below.",
            ),
            closings=("Revert with further queries online.", "Follow up with results.", "Regards.", "I hope this helps."),
            closed=0.6,
            measures=3.4,
            parts=("span", "test", "medicine", "measures", "avoid", "remarks", "elderly", "warning"),
            shares={"span": 0.5, "test": 0.5, "medicine": 0.6, "avoid": 0.5},
        ),
        histories=0.9,
        topics=1.5,
    ),
}


def generate_consultations(count: int, *, seed: int, forum: Forum) -> Iterator[dict[str, str]]:
    """Yield `count` consultations as rows of ChatDoctor's files: instruction, input (the question), output (the answer)."""
    style, dice = STYLES[forum], Dice(random.Random(seed))
    for _ in range(count):
        query = draw_query(dice, histories=style.histories, topics=style.topics)
        yield {
            "instruction": INSTRUCTION,
            "input": write_question(query, style.letter, dice),
            "output": write_answer(query, style.reply, dice),
        }
