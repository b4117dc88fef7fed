"""What a patient brings along and is never concluded: old conditions with their drugs, operations, habits, relatives, allergies."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Condition:
    """A chronic condition: how it is written among the old ones, how the course heads and tells it, and its drug.

    Not beside a problem that may say one of the words `unless`, or has the `#trait`.
    """

    past: str
    short: str
    course: str
    drug: str
    unless: tuple[str, ...] = ()

    @cached_property
    def words(self) -> str:
        """All that it says, in lower case."""
        return f"{self.past} {self.course} {self.drug} ".lower()


CONDITIONS = (
    Condition(
        "Hypertension",
        "HTN",
        "Normotensive on home lisinopril, which was continued.",
        "Lisinopril 20 mg PO DAILY",
        ("#kidneys", "#shock", "#bleeding", "hypotension", "losartan", "midodrine", "fludrocortisone"),
    ),
    Condition("Hyperlipidemia", "HLD", "Continued home statin.", "Simvastatin 20 mg PO QPM"),
    Condition("GERD", "GERD", "Continued omeprazole before breakfast.", "Omeprazole 20 mg PO DAILY", ("interstitial nephritis",)),
    Condition("Hypothyroidism", "Thyroid", "Home dose was continued, TSH within range.", "Levothyroxine Sodium 88 mcg PO DAILY"),
    Condition("Depression", "Mood", "Stable, continued citalopram, no safety concerns.", "Citalopram 20 mg PO DAILY", ("#salt",)),
    Condition(
        "Anxiety",
        "Anxiety",
        "Given home lorazepam sparingly.",
        "LORazepam 0.5 mg PO Q8H:PRN anxiety",
        ("#confusion", "oxycodone", "hydromorphone"),
    ),
    Condition("Vitamin D deficiency", "Vitamin D", "Supplement continued.", "Vitamin D 1000 UNIT PO DAILY"),
    Condition("OSA on CPAP", "OSA", "CPAP overnight with home settings.", "Fluticasone Propionate NASAL 2 SPRY NU DAILY"),
    Condition("Osteoarthritis", "OA", "Standing acetaminophen, PT while in house.", "Acetaminophen 500 mg PO Q6H:PRN pain"),
    Condition(
        "Osteoporosis",
        "Bone health",
        "Weekly alendronate was deferred while in house.",
        "Alendronate Sodium 70 mg PO QSUN",
        ("#bleeding", "#kidneys"),
    ),
    Condition(
        "Diabetes on oral agents",
        "DM2",
        "Metformin held, covered with a sliding scale, A1c 6.9.",
        "MetFORMIN (Glucophage) 500 mg PO BID",
        ("#diabetes", "#kidneys", "#shock"),
    ),
    Condition(
        "Migraine",
        "Migraine",
        "No headaches of note, topiramate continued.",
        "Topiramate (Topamax) 50 mg PO BID",
        ("nephrolithiasis",),
    ),
    Condition("Insomnia", "Insomnia", "Trazodone at bedtime as needed.", "TraZODone 50 mg PO QHS:PRN insomnia", ("#confusion",)),
    Condition("Peripheral neuropathy", "Neuropathy", "Continued pregabalin, dose adjusted.", "Pregabalin 75 mg PO BID"),
    Condition("Glaucoma", "Glaucoma", "Continued eye drops.", "Latanoprost 0.005% Ophth. Soln. 1 DROP BOTH EYES QHS"),
    Condition(
        "Peripheral arterial disease",
        "PAD",
        "Feet warm, home cilostazol continued.",
        "Cilostazol 100 mg PO BID",
        ("#bleeding", "#anticoagulated", "#fluid", "clopidogrel"),
    ),
    Condition(
        "Rheumatoid arthritis",
        "RA",
        "Methotrexate was held this week and may restart.",
        "Methotrexate 15 mg PO 1X/WEEK (MO)",
        ("#kidneys", "#marrow", "#liver", "#infection"),
    ),
    Condition("Restless legs", "RLS", "Continued ropinirole.", "Ropinirole 0.5 mg PO QPM", ("#confusion",)),
    Condition("Seasonal allergies", "Rhinitis", "Loratadine as at home.", "Loratadine 10 mg PO DAILY"),
    Condition("Psoriasis", "Psoriasis", "Topical steroid continued.", "Clobetasol Propionate 0.05% Ointment 1 Appl TP BID"),
    Condition("Bipolar disorder", "Psych", "Euthymic on lamotrigine.", "LaMOTrigine 100 mg PO BID"),
    Condition(
        "Overactive bladder",
        "Bladder",
        "Continued mirabegron.",
        "Myrbetriq (mirabegron) 25 mg oral DAILY",
        ("retention", "bladder", "urin"),
    ),
    Condition(
        "Obesity", "Nutrition", "Seen by the dietitian, multivitamin daily.", "Multivitamins 1 TAB PO DAILY", ("malnutrition",)
    ),
    Condition("Tobacco use", "Smoking", "Offered a patch, counseled on quitting.", "Nicotine Patch 14 mg TD DAILY"),
)
REMOTE = (
    "Lymphoma status post chemotherapy, in remission",
    "Melanoma status post wide excision",
    "Remote TIA without residual symptoms",
    "Basal cell carcinoma, excised",
    "Colonic polyps",
    "Lumbar spinal stenosis",
    "Cataracts",
    "Hearing loss",
    "Childhood asthma",
    "Positive PPD, treated with INH",
    "Shingles of the left trunk",
    "Vertigo",
    "Macular degeneration",
    "Renal cyst",
    "Pulmonary nodule, stable for years",
    "Thyroid nodules",
)
OPERATIONS = (
    "Appendectomy as a child",
    "Tonsillectomy",
    "Total knee replacement",
    "Bunionectomy",
    "Inguinal hernia repair with mesh",
    "ORIF of the ankle",
    "Carpal tunnel release",
    "Rotator cuff repair",
    "Cataract extraction, both eyes",
    "Lumbar fusion L4-L5",
    "Thyroid lobectomy",
    "Varicose vein stripping",
)
HOUSEHOLD = (
    "Lives with spouse on the second floor of a two family house.",
    "Lives alone with two cats, independent in ADLs.",
    "Shares an apartment with a sister.",
    "Lives with a daughter and her family.",
)
WORK = ("Retired machinist.", "Worked as a teacher until last year.", "Drives a school bus.", "Does the books of a small company.")
SOCIAL = (
    "Three adult children in the area who help with shopping.",
    "Walks with a cane, last fall over a year ago.",
    "Born abroad, moved here as a young adult.",
    "Home health aide twice a week.",
)
FAMILY = (
    "Father died of an MI at ___.",
    "Mother with breast cancer.",
    "Brother with diabetes.",
    "No history of sudden death or clotting.",
    "Sister alive and well.",
    "Paternal grandfather with colon cancer.",
    "Mother had dementia.",
    "Non-contributory to this admission.",
    "Two healthy children.",
    "Uncle with kidney transplant.",
)
BETA_LACTAMS = ("cillin", "cef", "ceph", "keflex", "unasyn", "zosyn", "penem")
SULFA = ("sulfameth", "bactrim", "trimethoprim")
OPIOIDS = ("morphine", "oxycodone", "hydromorphone", "fentanyl", "narcotic", "dilaudid", "codeine", "percocet")
NO_ALLERGY = "No Known Allergies / Adverse Drug Reactions"
ALLERGIES: dict[str, tuple[str, ...]] = {  # with what they forbid: the drugs of the class, as any text has them
    "Penicillins": BETA_LACTAMS,
    "Sulfa (Sulfonamide Antibiotics)": SULFA,
    "codeine / shellfish derived": OPIOIDS,
    "Percocet / latex": OPIOIDS,
    "morphine": OPIOIDS,
    "Bactrim / Keflex": SULFA + BETA_LACTAMS,
    "lisinopril": ("pril ", "sartan"),
    "Statins-Hmg-Coa Reductase Inhibitors": ("statin",),
    "ibuprofen": ("ibuprofen", "ketorolac", "naproxen", "aspirin", "nsaid"),
    "ciprofloxacin": ("cipro", "floxacin"),
    "erythromycin base": ("mycin",),
    "adhesive tape": (),
}
