"""Problems that nobody is admitted for and many have besides."""

from pareft.data.synthetic.discharge.problems import BUGS, Problem, Variant

COMPANIONS = (
    Problem(
        rank=17,
        service="MEDICINE",
        names=("HypoK", "Low K", "Potassium, low"),
        complaints=(),
        histories=("{He} has had cramps in both legs.", "Potassium was low when checked last month."),
        exam={},
        labs={"K": (2.6, 3.2), "Mg": (1.3, 1.6)},
        study="EKG",
        images=("Flattened T waves.", "Prominent U waves."),
        courses=(
            "Potassium below 3.3 with low magnesium. {cause}. Repleted by mouth and by vein, normal on two checks.",
            "{cause}. Magnesium repleted first; values held after that.",
        ),
        drugs=("Potassium Chloride 20 mEq PO DAILY",),
        plain="low potassium",
        diagnosis="hypokalemia secondary to {cause}",
        draft="low potassium from {cause}",
        slots={
            "cause": {
                "diuretic therapy": ("HCTZ at home, now stopped", "Took a relative's water pills"),
                "poor oral intake": ("Ate next to nothing for a week", "Tea and toast for many days"),
            }
        },
        companion=True,
    ),
    Problem(
        rank=16,
        service="MEDICINE",
        names=("Bacteriuria with symptoms", "Dysuria", "Positive UA"),
        complaints=(),
        histories=("{He} also mentions burning with urination.", "{He} has been passing cloudy urine."),
        exam={"GU": ("suprapubic tenderness", "tender over the bladder")},
        labs={},
        study="Renal US",
        images=("No hydronephrosis.", "No perinephric fluid."),
        courses=(
            "Frequency and suprapubic discomfort without fever; culture with {bug}. Treated for five days.",
            "Urine grew {bug}. No flank pain, afebrile, symptoms gone after two days of therapy.",
        ),
        drugs=(),
        plain="a bladder infection",
        diagnosis="acute cystitis with {bug}",
        draft="{bug} cystitis, acute",
        slots={"bug": BUGS},
        traits=("nephrotoxic",),
        variants={
            "escherichia coli": Variant(("Nitrofurantoin 100 mg PO Q12H",)),
            "klebsiella pneumoniae": Variant(("Sulfameth/Trimethoprim DS 1 TAB PO BID",)),
            "proteus mirabilis": Variant(("Sulfameth/Trimethoprim DS 1 TAB PO BID",)),
            "enterococcus faecalis": Variant(("Amoxicillin 500 mg PO Q8H",)),
        },
        companion=True,
    ),
    Problem(
        rank=18,
        service="MEDICINE",
        names=("Retention", "Failure to void", "Foley"),
        complaints=(),
        histories=("{He} has had a weak stream and dribbling.", "{He} had not passed urine since the evening before."),
        exam={"GU": ("palpable bladder, Foley placed", "suprapubic fullness")},
        labs={},
        study="Renal US",
        images=("Distended bladder, 700 cc.", "No upstream dilatation, large bladder volume."),
        courses=(
            "Bladder scan with 750 cc. {cause}. Foley for two days, then passed a voiding trial.",
            "{cause}. Straight catheterized twice, residuals fell to 90 cc on tamsulosin.",
        ),
        drugs=("Tamsulosin 0.4 mg PO QHS",),
        plain="trouble emptying your bladder",
        diagnosis="acute urinary retention secondary to {cause}",
        draft="urinary retention, acute, from {cause}",
        slots={
            "cause": {
                "anticholinergic drugs": ("Had been taking Benadryl for sleep", "Scopolamine patch found and removed"),
                "immobility": ("In bed for days", "Had hardly been on {his} feet"),
            }
        },
        companion=True,
    ),
    Problem(
        rank=19,
        service="MEDICINE",
        names=("Wound care", "Skin breakdown", "Decub"),
        complaints=(),
        histories=("A sore on the back side was noticed at home.", "{He} has spent most of the past weeks in bed."),
        exam={"BACK": ("{kind} over the {place}", "{place}: {kind}")},
        labs={},
        study="CXR",
        images=("No free air.", "Low lung volumes."),
        courses=(
            "Present on arrival at the {place}: {kind}. Wound nurse saw {him}; turned every two hours, foam dressing.",
            "{place}, {kind}. No sign of infection. Air mattress and protein supplements.",
        ),
        drugs=("Zinc Sulfate 220 mg PO DAILY",),
        plain="a pressure sore",
        diagnosis="{kind} pressure injury of the {place}",
        draft="{place} pressure injury, {kind}",
        slots={
            "kind": {
                "stage 2": ("partial thickness skin loss", "a shallow open area with a pink bed"),
                "stage 3": ("full thickness loss with visible fat", "a deep crater without bone or tendon"),
                "unstageable": ("base covered by slough", "black eschar that hides the depth"),
            },
            "place": {"sacrum": ("tailbone", "midline above the gluteal cleft"), "left ischium": ("left sit bone", "L buttock")},
        },
        lasting={"BACK": ("{place} dressing clean",)},
        companion=True,
    ),
    Problem(
        rank=20,
        service="MEDICINE",
        names=("Nutrition", "Weight loss, low albumin", "Poor intake"),
        complaints=(),
        histories=("Clothes have become loose over the last months.", "{He} has been eating half of what {he} used to."),
        exam={},
        labs={"Albumin": (2.3, 2.9), "Phos": (1.7, 2.4)},
        study="CXR",
        images=("No acute process.", "Clear lungs."),
        courses=(
            "Dietitian noted {degree}. Supplements three times daily, phosphate repleted and watched.",
            "By nutrition's criteria {degree}. Appetite returned, calorie counts adequate by the end.",
        ),
        drugs=("Thiamine 100 mg PO DAILY",),
        plain="poor nutrition",
        diagnosis="{degree} protein calorie malnutrition",
        draft="protein calorie malnutrition, {degree}",
        slots={
            "degree": {
                "moderate": ("mild wasting of the temples, 8% lighter than in spring", "some loss of muscle, down 12 lb"),
                "severe": ("marked temporal wasting, 20% lighter than in spring", "profound loss of muscle and fat, down 35 lb"),
            }
        },
        after={"Albumin": (2.5, 3.1)},
        companion=True,
    ),
)
