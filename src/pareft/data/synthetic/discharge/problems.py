"""What a synthetic hospital stay is about, as plain data: `heart`, `lungs`, `gut`, `kidneys`, `limbs` and `nerves` hold the
problems.

A `Problem` is told in any of its wordings and concluded in one normalised `diagnosis`. Braces in them are filled from its `slots`:
a slot has one value per patient, which is told in any of the value's wordings and concluded as the value itself. `{he}`, `{He}`,
`{his}` and `{man}` stand for the patient.
"""

from dataclasses import dataclass, field

Slot = dict[str, tuple[str, ...]]

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


@dataclass(frozen=True)
class Problem:
    """One reason to be in hospital. A lower `rank` is concluded earlier; `names` head its part of the course; `exam` says what is
    heard and seen by region, `labs` in which range an analyte is, `images` what `study` shows; `plain` is for the
    patient; `draft` is most of the diagnosis in another order, as it may stand in a note.
    """

    rank: int
    service: str
    names: tuple[str, ...]
    complaints: tuple[str, ...]
    histories: tuple[str, ...]
    exam: dict[str, tuple[str, ...]]
    labs: dict[str, tuple[float, float]]
    study: str
    images: tuple[str, ...]
    courses: tuple[str, ...]
    drugs: tuple[str, ...]
    plain: str
    diagnosis: str
    draft: str
    slots: dict[str, Slot] = field(default_factory=dict)
    procedures: tuple[str, ...] = ()
