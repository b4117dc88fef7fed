"""Tables of laboratory values: what is normal, what a problem makes of it, and how it moves from the first day to the last."""

from dataclasses import dataclass

from pareft.data.synthetic.discharge.dice import Dice

Ranges = dict[str, tuple[float, float]]

PANELS: tuple[Ranges, ...] = (
    {
        "WBC": (4.6, 9.8),
        "RBC": (3.8, 5.7),
        "Hgb": (12.2, 15.6),
        "Hct": (36.0, 47.5),
        "MCV": (84, 96),
        "MCH": (26.5, 33.0),
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
        "Cl": (96, 108),
        "HCO3": (22, 28),
        "AnGap": (9, 15),
    },
    {"Calcium": (8.6, 9.8), "Phos": (2.8, 4.3), "Mg": (1.7, 2.3)},
    {"ALT": (11, 36), "AST": (13, 35), "AlkPhos": (45, 105), "TotBili": (0.2, 1.0), "Albumin": (3.6, 4.6)},
    {"PT": (10.0, 12.8), "PTT": (26.0, 35.0), "INR": (0.9, 1.1)},
    {"Neuts": (48.0, 72.0), "Lymphs": (20.0, 38.0), "Monos": (4.0, 9.0), "Eos": (0.5, 4.0), "Baso": (0.1, 0.9)},
)
NORMAL = {name: span for panel in PANELS for name, span in panel.items()}
DAILY = {name: 0.12 * (high - low) for name, (low, high) in NORMAL.items()}
COMPUTED = frozenset({"RBC", "Hct", "MCH", "MCHC", "Cl", "PT", "Neuts"})  # from the others of their day
WHOLE = frozenset(
    (
        *("MCV", "Plt Ct", "Glucose", "UreaN", "Na", "Cl", "HCO3", "AnGap", "ALT", "AST", "AlkPhos", "Lipase", "CRP", "proBNP"),
        *("CK-MB", "CK", "D-Dimer", "LD(LDH)", "LDL", "Osmolal", "pCO2", "pO2", "Triglyc"),
    )
)
FEW, MANY = 2.0, 11.0  # WBC beyond which lymphocytes prevail, or neutrophils
WIDTH = 78


@dataclass(frozen=True)
class Chart:
    """The laboratory values of one stay: for every analyte that is not computed, where it starts and where it ends."""

    start: dict[str, float]
    end: dict[str, float]
    abnormal: Ranges

    def tabulate(self, dice: Dice, panels: int, progress: float) -> list[str]:
        """The lines of a day, `progress` of the way from the first (0) to the last (1), what is not normal starred.

        On the first day also a line for each analyte that no panel has.
        """
        stamp = f"___ {dice.below(5) + 4:02d}:{dice.below(60):02d}AM BLOOD "
        values = _compute(self._draw_day(dice, progress))
        lines = [
            _print_panel(stamp, [_show(name, values[name], span) for name, span in panel.items()]) for panel in PANELS[:panels]
        ]
        if progress == 0:
            lines += [f"{stamp}{name}-{_print(name, values[name])}*" for name in self.abnormal if name not in NORMAL]
        return lines

    def quote(self) -> str:
        """The first day's abnormal values as prose has them."""
        return ", ".join(f"{name} {_print(name, self.start[name])}" for name in self.abnormal)

    def _draw_day(self, dice: Dice, progress: float) -> dict[str, float]:
        """Faster at first; from one day to the next a normal value differs by some percent of what is normal."""
        moved, random, end = progress**0.7, dice.random, self.end
        return {
            name: start + (end[name] - start) * moved + DAILY.get(name, 0) * (random() - 0.5) for name, start in self.start.items()
        }


def draw_chart(dice: Dice, abnormal: Ranges, after: Ranges) -> Chart:
    """A stay's values: `abnormal` ones start so and end in the range that `after` has for them, or a normal one."""
    start, end = {}, {}
    for name in NORMAL | abnormal:
        if name in COMPUTED:
            continue
        low, high = NORMAL.get(name) or abnormal[name]
        usual = low + (high - low) * (0.08 + 0.84 * dice.random())
        start[name] = _draw(dice, abnormal[name]) if name in abnormal else usual
        end[name] = _draw(dice, after[name]) if name in after else usual
    if start["WBC"] > MANY:
        start["Lymphs"] = _draw(dice, (5.0, 12.0))
    elif start["WBC"] < FEW:
        start["Lymphs"] = _draw(dice, (68.0, 85.0))
    return Chart(start, end, abnormal)


def _draw(dice: Dice, span: tuple[float, float]) -> float:
    low, high = span
    return low + (high - low) * dice.random()


def _compute(values: dict[str, float]) -> dict[str, float]:
    """The day's values with those that follow from others, as an analyser's do."""
    values["Hct"] = 3 * values["Hgb"] * (1 + 0.002 * (values["RDW"] - 13.5))
    values["RBC"] = 10 * values["Hct"] / values["MCV"]
    values["MCH"] = 10 * values["Hgb"] / values["RBC"]
    values["MCHC"] = 100 * values["Hgb"] / values["Hct"]
    values["Cl"] = round(values["Na"]) - round(values["HCO3"]) - round(values["AnGap"])
    values["PT"] = 11.4 * values["INR"]
    values["Neuts"] = 100 - sum(values[name] for name in ("Lymphs", "Monos", "Eos", "Baso"))
    return values


def _show(name: str, value: float, span: tuple[float, float]) -> str:
    shown = _print(name, value)
    return f"{name}-{shown}" if span[0] <= float(shown) <= span[1] else f"{name}-{shown}*"


def _print(name: str, value: float) -> str:
    """Whole numbers, or one decimal; troponin has two."""
    return f"{value:.0f}" if name in WHOLE else f"{value:.2f}" if name == "cTropnT" else f"{value:.1f}"


def _print_panel(stamp: str, values: list[str]) -> str:
    """One line, or two where it would be wider than a report is."""
    line = stamp + " ".join(values)
    if len(line) <= WIDTH:
        return line
    cut = line.rfind(" ", 0, WIDTH)
    return f"{line[:cut]} \n{line[cut + 1 :]}"
