"""Reports cut into sections at their titles, and the (source, target) pair these make, by the paper's rules or by cleaner ones.

`paper` gives what the release of arXiv 2305.08285 gives, character for character, quirks included. `clean` mends them, each under a
name of its own in `FIXES` (docs/data.md). Both are pure functions of one report.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Rules = Literal["paper", "clean"]
Kind = Literal["discharge", "radiology"]

UNDERLINE = "_" * 78  # before a radiologist's signature
MIN_TARGET_CHARACTERS = 4
MIN_SOURCE_CHARACTERS = 40
MOST_PEELINGS = 10
FIXES = (
    "line-start",
    "longest-title",
    "every-title",
    "needed-section",
    "no-title-in-target",
    "signature-per-section",
    "folded",
    "near-empty",
    "duplicates",
)


@dataclass(frozen=True)
class Layout:
    """What a kind of report consists of: the titles of its sections, lower case, as the release lists them.

    `needed`: of the sources, those that a clean pair must have one of. `signature`: how the part after the target begins. What is
    the release's alone: `last_keeps_title`, the slice of the last section, if it is a target, begins at its title; `walls`, texts
    that end a section and belong to none (its file of radiology titles has a dividing line, which it searches for like a title).
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    needed: tuple[str, ...]
    signature: Literal["names", "underline"]
    last_keeps_title: bool = False
    walls: tuple[str, ...] = ()

    def titles(self, rules: Rules) -> tuple[str, ...]:
        """All titles, and under `paper` the walls."""
        return self.targets + self.sources + (self.walls if rules == "paper" else ())


DISCHARGE_SOURCES = (
    "service:",
    "allergies:",
    "chief complaint:",
    "major surgical or invasive procedure:",
    "radiologic studies:",
    "head ct:",
    "abdominal ct:",
    "history of present illness:",
    "history of the present illness:",
    "past medical history:",
    "family history:",
    "social history:",
    "physical exam at time of admission:",
    "admission physical exam:",
    "physical exam:",
    "post surgical physical exam:",
    "medications on admission:",
    "medications prior to admission:",
    "admission medications:",
    "labs at discharge:",
    "medicine consult:",
    "pertinent results:",
    "ct scan c spine :",
    "ct abdomen/pelvis",
    "ct sinus/maxillofacial",
    "ct abdomen with iv contrast:",
    "ct pelvis with iv contrast:",
    "bone windows:",
    "video oropharyngeal swallow findings:",
    "oral phase:",
    "pharyngeal phase:",
    "ct head w/out:",
    "brief hospital course:",
    "discharge condition:",
    "discharge medications:",
    "discharge disposition:",
    "discharge instructions:",
    "laboratory studies:",
    "medications:",
    "past surgical history:",
    "hospital course:",
    "condition at discharge:",
    "discharge status:",
    "medications on discharge:",
    "physical examination:",
    "medications at home:",
    "physical examination on presentation:",
    "physical examination on admission:",
    "laboratory data upon admission:",
    "radiology/imaging:",
    "imaging on admission:",
    "hospital course by system:",
    "review of systems:",
    "initial laboratories:",
    "assessment:",
    "assessment and plan:",
    "laboratory data:",
    "laboratory/radiologic data:",
    "laboratories on admission:",
    "radiologic examination on admission:",
    "pertinent laboratory values on presentation:",
    "disposition:",
    "note:",
    "ekg:",
    "ekg on admission:",
    "addendum:",
    "updated list of medications:",
    "facility:",
    "discharge instructions/followup:",
    "followup instructions:",
    "follow-up instructions:",
)
LAYOUTS: dict[Kind, Layout] = {
    "discharge": Layout(
        sources=DISCHARGE_SOURCES,
        targets=("final diagnoses:", "discharge diagnosis:", "discharge diagnoses:"),
        needed=DISCHARGE_SOURCES,
        signature="names",
    ),
    "radiology": Layout(
        sources=("final report", "findings:"),
        targets=("impression:", "impressions:"),
        needed=("findings:",),
        signature="underline",
        last_keeps_title=True,
        walls=("=" * 15,),
    ),
}


@dataclass(frozen=True)
class Section:
    """A title's place in a report: `start` and `end` of the title itself, `stop` where the next section starts."""

    title: str
    start: int
    end: int
    stop: int


@dataclass(frozen=True)
class Pair:
    """One example before it has an id."""

    source: str
    target: str


def find_sections(text: str, titles: Sequence[str], rules: Rules) -> list[Section]:
    """The sections of a report in lower case, in its order: from the first title on, every character is in one.

    `paper`: the first occurrence of every title, wherever it is. `clean`: every title at the start of a line, the longest there.
    """
    index = _index(tuple(titles))
    found = index.find_at_line_starts(text) if rules == "clean" else index.find_first(text)
    stops = [*(start for start, _, _ in found[1:]), len(text)][: len(found)]
    return [Section(title, start, end, stop) for (start, end, title), stop in zip(found, stops, strict=True)]


@dataclass(frozen=True)
class _Index:
    """Titles, so that one look at a text finds all of them. Nearly all end with a colon, of which a report has few: at each, read
    backwards, the longest title is matched, and with it those that are its endings.
    """

    backwards: re.Pattern[str]
    endings: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...]  # titles without a colon at the end

    def find_at_line_starts(self, text: str) -> list[tuple[int, int, str]]:
        found = [(end - len(title), end, title) for end, title in self._find_longest(text)]
        for title in self.others:
            found += [(match.start(), match.end(), title) for match in re.finditer(re.escape(title), text)]
        return sorted(place for place in found if not text[text.rfind("\n", 0, place[0]) + 1 : place[0]].strip(" \t"))

    def find_first(self, text: str) -> list[tuple[int, int, str]]:
        first = {title: start for title in self.others if (start := text.find(title)) >= 0}
        for end, longest in self._find_longest(text):
            for title in self.endings[longest]:
                first.setdefault(title, end - len(title))
        return sorted((start, start + len(title), title) for title, start in first.items())

    def _find_longest(self, text: str) -> Iterator[tuple[int, str]]:
        """Where a title with a colon ends, and the longest that ends there."""
        turned, last, end = text[::-1], len(text), text.find(":") + 1
        while end:
            if match := self.backwards.match(turned, last - end):
                yield end, match[0][::-1]
            end = text.find(":", end) + 1


@lru_cache
def _index(titles: tuple[str, ...]) -> _Index:
    longest_first = sorted(titles, key=len, reverse=True)
    colon = [title for title in longest_first if title.endswith(":")]
    return _Index(
        backwards=re.compile("|".join(re.escape(title[::-1]) for title in colon)),
        endings={title: tuple(other for other in colon if title.endswith(other)) for title in colon},
        others=tuple(title for title in titles if title not in colon),
    )


def pair_sections(report: str, kind: Kind, rules: Rules) -> Pair | str:
    """The pair of one report, or the reason why it gives none. Any text is taken."""
    layout, text = LAYOUTS[kind], report.lower()
    sections = find_sections(text, layout.titles(rules), rules)
    sources = [section for section in sections if section.title in layout.sources]
    targets = [section for section in sections if section.title in layout.targets]
    if not targets:
        return "no target section"
    if not any(rules == "paper" or section.title in layout.needed for section in sources):
        return "no source section"
    source = "\n".join(text[section.start : section.stop].strip() for section in sources)
    if rules == "clean":
        return _mend(source, [text[section.end : section.stop] for section in targets], layout)
    keeps = sections[-1] if layout.last_keeps_title else None
    slices = [text[section.start if section is keeps else section.end : section.stop].strip() for section in targets]
    target = cut_signature("\n".join(slices).strip(), layout)
    return Pair(source, target) if source and target else "empty"


def _mend(source: str, slices: Sequence[str], layout: Layout) -> Pair | str:
    """The clean pair of the sections' texts."""
    target = "\n".join(cut_signature(part, layout) for part in slices)
    for _ in range(MOST_PEELINGS):  # what is left may be a title again
        less = _mentions(layout.targets).sub("", target)
        if less == target:
            break
        target = less
    else:
        return "titles within titles"
    pair = Pair(fold(source), fold(target))
    if len(pair.target) < MIN_TARGET_CHARACTERS or len(pair.source) < MIN_SOURCE_CHARACTERS:
        return "near-empty"
    return pair


@lru_cache
def _mentions(titles: tuple[str, ...]) -> re.Pattern[str]:
    """A target's title within a target; after a word, as in "primary discharge diagnosis:", its colon stays."""
    names = "|".join(re.escape(title.removesuffix(":")) for title in titles)
    return re.compile(rf"(?<=\w)[ \t]+(?:{names})(?=:)|(?:{names}):")


def cut_signature(target: str, layout: Layout) -> str:
    """The target before what names the people: before the first line with a last and a first name, or before 78 underscores."""
    if layout.signature == "underline":
        return target.split(UNDERLINE)[0]  # as it is: the release leaves the blanks before the line
    kept: list[str] = []
    for line in target.split("\n"):
        if "last name" in line and "first name" in line:
            break
        kept.append(line)
    return "\n".join(kept).strip()


def fold(text: str) -> str:
    """Runs of white space become one blank, runs of two or more underscores, which stand for what was taken out, become three."""
    if "____" in text or "__" in text.replace("___", ""):  # three is what nearly all are already
        text = re.sub(r"_{2,}", "___", text)
    return " ".join(text.split())
