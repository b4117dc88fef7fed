"""Names beside the points of a plot, where there is room for them."""

from collections.abc import Iterable, Mapping
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from pareft.records import ScoreRecord

Side = tuple[Literal[1, 0, -1], Literal[1, 0, -1]]  # right, neither or left; above, neither or below
SIDES: tuple[Side, ...] = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))  # best first
AWAY = 7, 5  # typographic points, aside and above or below
MARKER = 5  # pixels from its middle to each side
LONGEST = 28  # letters of a name
ALONG, UP = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}


def say_plainly(name: str) -> str:
    """A name as matplotlib draws it letter by letter, no formula, no line end; what is too long is cut."""
    cut = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return "".join(sign if sign.isprintable() else " " for sign in cut).replace("$", r"\$")


def name_points(axes: Axes, points: Mapping[str, tuple[float, ScoreRecord]], *, colour: str) -> None:
    """Write a name beside every point (x, y with its interval), on the side where it covers least of what is there. The figure is
    settled before.
    """
    taken = [_find_box(axes, x, y) for x, y in points.values()]
    for name, (x, y) in points.items():
        label = axes.annotate(say_plainly(name), (x, y.value), xytext=(0, 0), textcoords="offset points", fontsize=9, color=colour)
        clashes = [_measure_clash(_place(label, x, y, side), taken, axes.bbox) for side in SIDES]
        taken.append(_place(label, x, y, SIDES[clashes.index(min(clashes))]))


def _find_box(axes: Axes, x: float, y: ScoreRecord) -> Bbox:
    """What a point and its interval cover, in pixels."""
    (left, bottom), (right, top) = axes.transData.transform([(x, _find_end(y, -1)), (x, _find_end(y, 1))])
    return Bbox([(left - MARKER, bottom - MARKER), (right + MARKER, top + MARKER)])


def _find_end(y: ScoreRecord, end: int) -> float:
    bound = y.high if end > 0 else y.low
    return y.value if bound is None else bound


def _place(label: Annotation, x: float, y: ScoreRecord, side: Side) -> Bbox:
    """Put a label beside its point, or above or below its interval. Returns what it covers, in pixels."""
    along, up = side
    label.xy = (x, y.value if along else _find_end(y, up))
    label.set_position((along * AWAY[0], up * AWAY[1]))
    label.set(horizontalalignment=ALONG[along], verticalalignment=UP[up])
    return Bbox(label.get_window_extent())


def _measure_clash(box: Bbox, taken: Iterable[Bbox], frame: Bbox) -> int:
    """How many pixels of a box are taken, or outside the frame."""
    shared = [both.width * both.height for other in taken if (both := Bbox.intersection(box, other))]
    inside = Bbox.intersection(box, frame)
    return round(sum(shared) + box.width * box.height - (inside.width * inside.height if inside else 0))
