"""Lines of drugs: which class one belongs to, and the prescription that its order calls for."""

import re
from functools import cache

CLASSES = {
    "statin": ("atorvastatin", "simvastatin"),
    "opioid": ("oxycodone", "hydromorphone"),
    "anti-inflammatory": ("ibuprofen", "ketorolac"),
    "anticoagulant": ("apixaban", "rivaroxaban", "enoxaparin"),
    "platelet": ("clopidogrel", "ticagrelor", "cilostazol"),
    "acid": ("omeprazole", "pantoprazole"),
    "gabapentinoid": ("gabapentin", "pregabalin"),
    "quinolone": ("ciprofloxacin", "levofloxacin"),
    "beta lactam": ("cefazolin", "ceftriaxone", "cefepime", "cephalexin", "cefpodoxime", "amoxicillin", "ampicillin"),
    "loop diuretic": ("torsemide", "furosemide"),
    "beta blocker": ("metoprolol", "nadolol"),
    "iron": ("ferrous",),
    "steroid": ("prednisone", "fludrocortisone"),
    "sleep": ("trazodone", "ramelteon"),
}
CLASS_OF = {name: group for group, names in CLASSES.items() for name in names}
CAPSULES = frozenset(
    ("omeprazole", "tamsulosin", "cephalexin", "gabapentin", "pregabalin", "amoxicillin", "nitrofurantoin", "benzonatate")
)
NO_TABLETS = frozenset({"lactulose", "guaifenesin", "polyethylene", "vancomycin", "insulin"})  # by mouth, but liquids and powders
FREQUENCIES = {
    "DAILY": ("once a day", 1),
    "Q24H": ("once a day", 1),
    "QHS": ("at bedtime", 1),
    "QPM": ("every evening", 1),
    "BID": ("two times a day", 2),
    "Q12H": ("every 12 hours", 2),
    "TID": ("three times a day", 3),
    "TID W/MEALS": ("three times a day with meals", 3),
    "Q8H": ("every 8 hours", 3),
    "QID": ("four times a day", 4),
    "Q6H": ("every 6 hours", 4),
    "Q4H": ("every 4 hours", 6),
}
ORDER = re.compile(r"(?P<name>.+?) (?P<dose>[\d.]+ (?:mg|mcg|gm|g)) PO (?P<often>[A-Z0-9/ ]+?)(?P<need>:PRN (?P<why>.+))?")


@cache
def classify(drug: str) -> str:
    """The class of a drug's line: its own name unless others are of its kind."""
    name = drug.split()[0].lower()
    return CLASS_OF.get(name, name)


def prescribe(drug: str, days: int) -> str:
    """The prescription as its order has it, for tablets and capsules by mouth; nothing for what is drawn up or inhaled."""
    order = ORDER.fullmatch(drug)
    if not order or order["often"] not in FREQUENCIES:
        return ""
    name = re.sub(r" \(.*\)", "", order["name"]).lower()
    if name.split()[0] in NO_TABLETS:
        return ""
    words, daily = FREQUENCIES[order["often"]]
    form = "capsule" if name.split()[0] in CAPSULES else "tablet"
    need = f" as needed for {order['why']}" if order["need"] else ""
    count = daily * (5 if order["need"] else days)
    return f"Rx {name} {order['dose']} one {form} by mouth {words}{need}, {count} {form}s, no refills"
