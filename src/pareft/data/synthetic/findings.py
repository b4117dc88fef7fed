"""What a synthetic note is made of, as plain data: `chest`, `head` and `abdomen` hold what a radiologist sees, says and concludes.

`{side}`, `{size}`, `{place}` and `{count}` are filled by `notes`. A `Finding` is described in any of its `wordings` and concluded
in one normalised phrase; what is not there is denied in any of its `denials` and concluded, if it was asked about, as `denied`.
"""

from dataclasses import dataclass

SIDES = ("left", "right")
TRENDS = {
    "increased": ("larger than on the prior study", "increased in the interval", "which has progressed since the previous exam"),
    "unchanged": ("not significantly changed", "stable compared with prior", "similar to the previous exam"),
    "decreased": ("smaller than before", "improved from the prior study", "partially resolved in the interval"),
}
LOBES = ("right upper lobe", "right middle lobe", "right lower lobe", "left upper lobe", "left lower lobe", "lingula")


@dataclass(frozen=True)
class Finding:
    """One abnormality. A lower `urgency` is concluded earlier; `trend` says whether it may have changed since the prior study."""

    urgency: int
    wordings: tuple[str, ...]
    conclusion: str
    denials: tuple[str, ...] = ()
    denied: str = ""
    questions: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ("",)
    places: tuple[str, ...] = ("",)
    counts: tuple[int, ...] = (0,)
    paired: bool = False
    trend: bool = False


@dataclass(frozen=True)
class Exam:
    """A kind of study: its titles, its findings by name, what is mentioned and never concluded, and the conclusion when all is
    well.

    Detailed notes have more of what is not concluded: `circumstances` of the request, `protocols`, and `surroundings` of findings.
    """

    titles: tuple[str, ...]
    techniques: tuple[str, ...]
    complaints: tuple[str, ...]
    findings: dict[str, Finding]
    incidental: tuple[str, ...]
    normal: str
    circumstances: tuple[str, ...]
    protocols: tuple[str, ...]
    surroundings: tuple[str, ...]
