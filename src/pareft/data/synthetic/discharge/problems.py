"""What a synthetic hospital stay is about, as plain data: `heart`, `lungs`, `gut`, `liver`, `kidneys`, `limbs`, `nerves` and
`companions` hold the problems.

A `Problem` is told in any of its wordings and concluded in one normalised `diagnosis`. Braces in them are filled from its `slots`:
a slot has one value per patient, which is told in any of the value's wordings and concluded as the value itself. `{he}`, `{He}`,
`{his}` and `{man}` stand for the patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

from pareft.data.synthetic.discharge.drugs import classify
from pareft.data.synthetic.discharge.labs import Ranges

Slot = dict[str, tuple[str, ...]]
Trait = Literal[
    "bleeding",
    "anticoagulated",
    "kidneys",
    "nephrotoxic",
    "liver",
    "marrow",
    "infection",
    "fluid",  # too much of it
    "shock",
    "diabetes",
    "confusion",
    "salt",  # too little of it
]

SIDES: Slot = {"left": ("left", "L"), "right": ("right", "R")}
LOBES: Slot = {
    "left lower lobe": ("LLL", "left base", "lower left lung"),
    "right lower lobe": ("RLL", "right base", "lower right lung"),
    "left upper lobe": ("LUL", "left apex", "upper left lung"),
    "right upper lobe": ("RUL", "right apex", "upper right lung"),
    "right middle lobe": ("RML", "middle lobe of the right lung"),
}
BUGS: Slot = {
    "escherichia coli": ("E. coli", "pan-sensitive E.coli"),
    "klebsiella pneumoniae": ("K. pneumoniae", "Klebsiella"),
    "proteus mirabilis": ("P. mirabilis", "swarming Proteus species"),
    "enterococcus faecalis": ("E. faecalis", "ampicillin sensitive Enterococcus"),
}
COCCI: Slot = {
    "methicillin resistant staphylococcus aureus": ("MRSA", "coag positive Staph, oxacillin resistant"),
    "methicillin sensitive staphylococcus aureus": ("MSSA", "coag positive Staph, oxacillin sensitive"),
    "viridans streptococcus": ("Strep viridans", "alpha hemolytic Strep"),
}
OPPOSED: tuple[frozenset[Trait], ...] = (
    frozenset({"bleeding", "anticoagulated"}),
    frozenset({"bleeding", "nephrotoxic"}),
    frozenset({"anticoagulated", "nephrotoxic"}),
    frozenset({"anticoagulated", "liver"}),
    frozenset({"anticoagulated", "marrow"}),
    frozenset({"kidneys", "nephrotoxic"}),
    frozenset({"liver", "nephrotoxic"}),
    frozenset({"fluid", "nephrotoxic"}),
)


@dataclass(frozen=True)
class Variant:
    """What a value of a slot adds to its problem."""

    drugs: tuple[str, ...] = ()
    labs: Ranges = field(default_factory=dict)
    after: Ranges = field(default_factory=dict)
    exam: Slot = field(default_factory=dict)
    lasting: Slot = field(default_factory=dict)
    traits: tuple[Trait, ...] = ()


COCCI_TREATED = {
    "methicillin resistant staphylococcus aureus": Variant(("Vancomycin 1000 mg IV Q 12H",)),
    "methicillin sensitive staphylococcus aureus": Variant(("CeFAZolin 2 g IV Q8H",)),
    "viridans streptococcus": Variant(("CefTRIAXone 2 gm IV Q24H",)),
}


@dataclass(frozen=True, eq=False)
class Problem:
    """One reason to be in hospital. A lower `rank` is concluded earlier; `names` head its part of the course; `exam` says what is
    heard and seen by region, on admission and (`lasting`) at the end; `labs` in which range an analyte starts, and `after` where
    it ends unless normal; `vitals` likewise T, HR, SBP, RR and SpO2 on admission; `images` what `study` shows; `given` what the
    emergency room does; `home` drugs are stopped; `plain` is for the patient; `draft` is most of the diagnosis in another order,
    as it may stand in a note.

    A `companion` may stand beside another principal problem; what is `suspected` may be ruled out in a stay for something else.
    """

    rank: int
    service: str
    names: tuple[str, ...]
    complaints: tuple[str, ...]
    histories: tuple[str, ...]
    exam: Slot
    labs: Ranges
    study: str
    images: tuple[str, ...]
    courses: tuple[str, ...]
    drugs: tuple[str, ...]
    plain: str
    diagnosis: str
    draft: str
    slots: dict[str, Slot] = field(default_factory=dict)
    procedures: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    vitals: Ranges = field(default_factory=dict)
    after: Ranges = field(default_factory=dict)
    lasting: Slot = field(default_factory=dict)
    home: tuple[str, ...] = ()
    traits: tuple[Trait, ...] = ()
    variants: dict[str, Variant] = field(default_factory=dict)
    companion: bool = False
    suspected: bool = False

    @cached_property
    def all_traits(self) -> frozenset[Trait]:
        """Its traits in any of its variants."""
        return frozenset(self.traits).union(*(variant.traits for variant in self.variants.values()))

    @cached_property
    def classes(self) -> frozenset[str]:
        """The classes of the drugs that it may be treated with."""
        drugs = [*self.drugs, *(drug for variant in self.variants.values() for drug in variant.drugs)]
        return frozenset(map(classify, drugs))

    @cached_property
    def touched(self) -> frozenset[str]:
        """The analytes and the regions of the body that it may change."""
        return frozenset(self.labs).union(self.exam, *({**one.labs, **one.exam} for one in self.variants.values())) - {"GENERAL"}

    @cached_property
    def words(self) -> str:
        """All that it may say, in lower case, and its traits as `#bleeding`."""
        return " ".join([*self._texts(), *(f"#{trait}" for trait in self.all_traits)]).lower()

    def _texts(self) -> Iterator[str]:
        yield from (*self.names, *self.complaints, *self.histories, *self.images, *self.courses, *self.drugs, *self.given)
        yield from (self.study, self.diagnosis, *self.procedures, *self.home)
        for found in (self.exam, self.lasting, *self.slots.values(), *(variant.exam for variant in self.variants.values())):
            for value, wordings in found.items():
                yield from (value, *wordings)
        for variant in self.variants.values():
            yield from variant.drugs


@cache
def mentions(problem: Problem, words: tuple[str, ...]) -> bool:
    """Whether the problem may say one of these words, or has the trait that one of them names as `#trait`."""
    return any(word in problem.words for word in words)


@cache
def go_together(one: Problem, other: Problem) -> bool:
    """Whether both may be told of one stay: they change nothing both, share no class of drugs, and have no traits opposed."""
    traits = one.all_traits | other.all_traits
    return not (
        one.touched & other.touched
        or one.classes & other.classes
        or any(pair <= traits and not (pair <= one.all_traits or pair <= other.all_traits) for pair in OPPOSED)
    )
