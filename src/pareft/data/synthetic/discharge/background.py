"""What a patient brings along and is never concluded: old conditions with their drugs, operations, habits, relatives, allergies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """A chronic condition: how it is written among the old ones, how the course heads and tells it, and its drug."""

    past: str
    short: str
    course: str
    drug: str


CONDITIONS = (
    Condition(
        "Hypertension", "HTN", "Normotensive on home lisinopril, which was continued at discharge.", "Lisinopril 20 mg PO DAILY"
    ),
    Condition("Hyperlipidemia", "HLD", "Continued home statin.", "Simvastatin 20 mg PO QPM"),
    Condition("GERD", "GERD", "Continued omeprazole before breakfast.", "Omeprazole 20 mg PO DAILY"),
    Condition("Hypothyroidism", "Thyroid", "Home dose was continued, TSH within range.", "Levothyroxine Sodium 88 mcg PO DAILY"),
    Condition("Depression", "Mood", "Stable, continued citalopram, no safety concerns.", "Citalopram 20 mg PO DAILY"),
    Condition("Anxiety", "Anxiety", "Given home lorazepam sparingly.", "LORazepam 0.5 mg PO Q8H:PRN anxiety"),
    Condition("Vitamin D deficiency", "Vitamin D", "Supplement continued.", "Vitamin D 1000 UNIT PO DAILY"),
    Condition("OSA on CPAP", "OSA", "CPAP overnight with home settings.", "Fluticasone Propionate NASAL 2 SPRY NU DAILY"),
    Condition("Osteoarthritis", "OA", "Standing acetaminophen, PT while in house.", "Acetaminophen 500 mg PO Q6H:PRN pain"),
    Condition("Osteoporosis", "Bone health", "Weekly alendronate was deferred while in house.", "Alendronate Sodium 70 mg PO QSUN"),
    Condition(
        "Diabetes on oral agents",
        "DM2",
        "Metformin held, covered with a sliding scale, A1c 6.9.",
        "MetFORMIN (Glucophage) 500 mg PO BID",
    ),
    Condition("Migraine", "Migraine", "No headaches of note, topiramate continued.", "Topiramate (Topamax) 50 mg PO BID"),
    Condition("Insomnia", "Insomnia", "Trazodone at bedtime as needed.", "TraZODone 50 mg PO QHS:PRN insomnia"),
    Condition("Peripheral neuropathy", "Neuropathy", "Continued pregabalin, dose adjusted.", "Pregabalin 75 mg PO BID"),
    Condition("Glaucoma", "Glaucoma", "Continued eye drops.", "Latanoprost 0.005% Ophth. Soln. 1 DROP BOTH EYES QHS"),
    Condition("Peripheral arterial disease", "PAD", "Feet warm, home cilostazol continued.", "Cilostazol 100 mg PO BID"),
    Condition(
        "Rheumatoid arthritis", "RA", "Methotrexate was held this week and may restart.", "Methotrexate 15 mg PO 1X/WEEK (MO)"
    ),
    Condition("Restless legs", "RLS", "Continued ropinirole.", "Ropinirole 0.5 mg PO QPM"),
    Condition("Seasonal allergies", "Rhinitis", "Loratadine as at home.", "Loratadine 10 mg PO DAILY"),
    Condition("Psoriasis", "Psoriasis", "Topical steroid continued.", "Clobetasol Propionate 0.05% Ointment 1 Appl TP BID"),
    Condition("Bipolar disorder", "Psych", "Euthymic on lamotrigine.", "LaMOTrigine 100 mg PO BID"),
    Condition("Overactive bladder", "Bladder", "Continued mirabegron.", "Myrbetriq (mirabegron) 25 mg oral DAILY"),
    Condition("Obesity", "Nutrition", "Seen by the dietitian, multivitamin daily.", "Multivitamins 1 TAB PO DAILY"),
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
SOCIAL = (
    "Lives with spouse on the second floor of a two family house.",
    "Lives alone with two cats, independent in ADLs.",
    "Former smoker, quit twenty years ago.",
    "One glass of wine with dinner.",
    "Denies illicits.",
    "Retired machinist.",
    "Worked as a teacher until last year.",
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
ALLERGIES = (
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "Penicillins",
    "Sulfa (Sulfonamide Antibiotics)",
    "codeine / shellfish derived",
    "Percocet / latex",
    "Iodinated Contrast Media - IV Dye",
    "morphine",
    "Bactrim / Keflex",
    "lisinopril",
    "adhesive tape",
)
