"""Tables of laboratory values: what is normal, what a day's panels look like, and what a problem makes of them."""

from pareft.data.synthetic.discharge.dice import Dice

Ranges = dict[str, tuple[float, float]]

PANELS: tuple[Ranges, ...] = (
    {
        "WBC": (4.6, 9.8),
        "RBC": (4.2, 5.2),
        "Hgb": (12.2, 15.6),
        "Hct": (37.0, 46.0),
        "MCV": (84, 96),
        "MCH": (27.0, 31.5),
        "MCHC": (32.0, 35.5),
        "RDW": (12.0, 15.2),
        "Plt Ct": (160, 380),
    },
    {
        "Glucose": (78, 128),
        "UreaN": (9, 19),
        "Creat": (0.6, 1.1),
        "Na": (136, 143),
        "K": (3.6, 4.6),
        "Cl": (98, 107),
        "HCO3": (22, 28),
        "AnGap": (9, 15),
    },
    {"Calcium": (8.6, 9.8), "Phos": (2.8, 4.3), "Mg": (1.7, 2.3)},
    {"ALT": (11, 36), "AST": (13, 35), "AlkPhos": (45, 105), "TotBili": (0.2, 1.0), "Albumin": (3.6, 4.6)},
    {"PT": (10.2, 12.6), "PTT": (26.0, 35.0), "INR": (0.9, 1.1)},
    {"Neuts": (48.0, 70.0), "Lymphs": (20.0, 38.0), "Monos": (4.0, 9.0), "Eos": (0.5, 4.0), "Baso": (0.1, 0.9)},
)
KNOWN = frozenset(name for panel in PANELS for name in panel)
WIDTH = 78


def tabulate_admission(dice: Dice, abnormal: Ranges) -> list[str]:
    """The lines of the first day: every panel, `abnormal` values starred, and a line of what no panel has."""
    stamp = f"___ {_draw_time(dice)} BLOOD "
    lines = [_print_panel(stamp, [_value(dice, name, span, abnormal) for name, span in panel.items()]) for panel in PANELS]
    return lines + [f"{stamp}{_value(dice, name, span, abnormal)}" for name, span in abnormal.items() if name not in KNOWN]


def tabulate_day(dice: Dice, panels: int) -> list[str]:
    """The lines of a later day: the first `panels`, all of it back to normal."""
    stamp = f"___ {_draw_time(dice)} BLOOD "
    return [_print_panel(stamp, [_value(dice, name, span, {}) for name, span in panel.items()]) for panel in PANELS[:panels]]


def quote_abnormal(dice: Dice, abnormal: Ranges) -> str:
    """Abnormal values as prose has them."""
    return ", ".join(f"{name} {_print(dice, span)}" for name, span in abnormal.items())


def _draw_time(dice: Dice) -> str:
    return f"{dice.below(5) + 4:02d}:{dice.below(60):02d}AM"


def _value(dice: Dice, name: str, span: tuple[float, float], abnormal: Ranges) -> str:
    if name in abnormal:
        return f"{name}-{_print(dice, abnormal[name])}*"
    return f"{name}-{_print(dice, span)}"


def _print(dice: Dice, span: tuple[float, float]) -> str:
    """Ranges of whole numbers give whole numbers, others one decimal."""
    low, high = span
    value = low + (high - low) * dice.random()
    return f"{value:.1f}" if isinstance(low, float) else f"{value:.0f}"


def _print_panel(stamp: str, values: list[str]) -> str:
    """One line, or two where it would be wider than a report is."""
    line = stamp + " ".join(values)
    if len(line) <= WIDTH:
        return line
    cut = line.rfind(" ", 0, WIDTH)
    return f"{line[:cut]} \n{line[cut + 1 :]}"
