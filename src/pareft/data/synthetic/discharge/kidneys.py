"""Problems of the kidneys, the blood and its salts."""

from pareft.data.synthetic.discharge.problems import BUGS, SIDES, Problem, Variant

KIDNEYS = (
    Problem(
        rank=11,
        service="MEDICINE",
        names=("AKI", "Acute renal failure", "Elevated creatinine"),
        complaints=("Abnormal labs", "Decreased urine output"),
        histories=(
            "Labs at the PCP revealed a creatinine three times the baseline of 1.0. {He} noticed less urine.",
            "{He} was told to come in because the blood work showed poor renal function.",
        ),
        exam={"GENERAL": ("dry mucous membranes, fatigued", "tired appearing")},
        labs={"Creat": (2.8, 4.6), "UreaN": (44, 90), "K": (5.1, 5.6)},
        study="Renal US",
        images=("Kidneys of normal size, {cause}.", "Echogenic cortex; {cause}."),
        courses=(
            "Creatinine peaked on arrival. Workup: {cause}. NSAIDs were stopped and nephrotoxins avoided; downtrended, "
            "though not yet to baseline.",
            "Renal was consulted: {cause}. Urine output recovered and creatinine was falling when {he} left.",
            "Cr up from 0.9. {cause}. Improved over several days, to be followed by the PCP.",
        ),
        drugs=("Sodium Bicarbonate 650 mg PO BID",),
        plain="an injury of your kidneys",
        diagnosis="acute kidney injury secondary to {cause}",
        draft="kidney injury, acute, secondary to {cause}",
        slots={
            "cause": {
                "volume depletion": ("FeNa 0.3% and quick response to fluids", "bland sediment, fixed with 3 L of LR"),
                "acute tubular necrosis": ("muddy brown casts, no response to IVF", "granular casts after hypotension, FeNa 3%"),
                "bladder outlet obstruction": (
                    "900 cc in the bladder, relieved by a Foley",
                    "PVR of 1.1 L, catheterized",
                ),
                "interstitial nephritis": ("WBC casts and eosinophilia after nafcillin", "sterile pyuria and rash due to a PPI"),
            }
        },
        given=("A bladder scan was done and urine was sent for electrolytes.",),
        after={"Creat": (1.5, 1.9), "UreaN": (24, 36)},
        traits=("kidneys",),
        variants={
            "acute tubular necrosis": Variant(("Sevelamer CARBONATE 800 mg PO TID W/MEALS",)),
            "bladder outlet obstruction": Variant(("Tamsulosin 0.4 mg PO QHS",)),
            "interstitial nephritis": Variant(("PredniSONE 60 mg PO DAILY",)),
        },
        companion=True,
    ),
    Problem(
        rank=9,
        service="MEDICINE",
        names=("UTI", "Flank pain and fever", "Urosepsis"),
        complaints=("Flank pain", "Dysuria", "Fever"),
        histories=(
            "{He} had dysuria and frequency for a week, now {side} flank pain with rigors and emesis.",
            "Burning with urination, then fever to 103 and back pain on the {side}.",
        ),
        exam={"BACK": ("{side} CVA tenderness", "marked CVAT, {side}")},
        labs={"WBC": (13.5, 20.5), "Lactate": (2.0, 3.2)},
        study="Renal US",
        images=(
            "Mild swelling and heterogeneity of the {side} kidney, no stone.",
            "No collection. {side} perinephric fluid is trace.",
        ),
        courses=(
            "UA grossly positive, urine grew {bug}. CVA tenderness on the {side} resolved; narrowed to orals for 14 days.",
            "IV therapy was begun for flank pain ({side}) with pyuria. Culture: {bug}. Afebrile for 48 hours.",
        ),
        drugs=("Phenazopyridine 100 mg PO TID",),
        plain="an infection of your kidney",
        diagnosis="acute {side} pyelonephritis with {bug}",
        draft="{side} pyelonephritis, acute, {bug}",
        slots={"side": SIDES, "bug": BUGS},
        given=(
            "{He} received a first dose of IV antibiotics after urine was sent.",
            "{He} was given a liter of LR and antibiotics.",
        ),
        vitals={"T": (100.9, 103.0), "HR": (96, 112)},
        traits=("infection",),
        variants={
            "escherichia coli": Variant(("Ciprofloxacin HCl 500 mg PO Q12H",)),
            "klebsiella pneumoniae": Variant(("Cefpodoxime 200 mg PO Q12H",)),
            "proteus mirabilis": Variant(("Cefpodoxime 200 mg PO Q12H",)),
            "enterococcus faecalis": Variant(("Amoxicillin 500 mg PO Q8H",)),
        },
        companion=True,
        suspected=True,
    ),
    Problem(
        rank=8,
        service="UROLOGY",
        names=("Renal colic", "Nephrolithiasis", "Hematuria and colic"),
        complaints=("Flank pain", "Groin pain and hematuria"),
        histories=(
            "{He} awoke with waves of {side} flank pain radiating to the groin, unable to find a comfortable position.",
            "Acute {side} sided colic with pink urine and vomiting, prior episode ten years ago.",
        ),
        exam={"BACK": ("{side} CVA tenderness",), "ABD": ("soft, {side} lower quadrant discomfort", "benign")},
        labs={"WBC": (11.4, 14.0), "Creat": (1.4, 2.0)},
        study="CT abdomen",
        images=("{place} on the {side}, with upstream dilatation.", "{side}: {place}; perinephric stranding."),
        courses=(
            "CT: {place}, {side}. Pain uncontrolled, so urology placed a {side} JJ stent; lithotripsy as an outpatient.",
            "Tamsulosin, oxycodone and fluids for the {side} sided calculus ({place}). Strained urine, then stented "
            "cystoscopically.",
        ),
        drugs=("Tamsulosin 0.4 mg PO QHS", "Oxycodone 5 mg PO Q6H:PRN pain"),
        plain="a kidney stone",
        diagnosis="obstructing {side} {place} stone with hydronephrosis, status post stent",
        draft="{side} {place} stone, obstructing, hydronephrosis, for stent",
        slots={
            "side": SIDES,
            "place": {
                "ureterovesical junction": ("6 mm calculus where the ureter enters the bladder", "5 mm UVJ calculus"),
                "proximal ureteral": ("8 mm calculus just below the UPJ", "9 mm calculus in the upper third of the ureter"),
            },
        },
        procedures=("Cystoscopy with placement of a JJ stent",),
        given=("{He} was given IV morphine 4 mg and ondansetron 4 mg.", "IV hydromorphone was needed twice."),
        vitals={"HR": (92, 108), "SBP": (138, 160)},
        suspected=True,
    ),
    Problem(
        rank=3,
        service="MEDICINE",
        names=("DKA", "Hyperglycemia, gap acidosis", "Hyperglycemic crisis"),
        complaints=("Hyperglycemia", "Polyuria and vomiting"),
        histories=(
            "{He} had polyuria, thirst and vomiting with fingersticks reading high. {kind}. {cause}.",
            "{cause}. For two days nausea, fruity breath and sugars above 500. {kind}.",
        ),
        exam={"GENERAL": ("Kussmaul breathing, dry", "lethargic with dry mucous membranes")},
        labs={"Glucose": (420, 780), "HCO3": (6, 13), "AnGap": (22, 31), "K": (5.2, 6.0)},
        study="CXR",
        images=("No infectious source.", "Normal."),
        courses=(
            "Wide gap with large ketones. {kind}. {cause}. Insulin drip and 5 L of fluid in the ICU until the gap closed twice, "
            "then basal bolus.",
            "{cause}. pH below 7.1 on the VBG. {kind}. Bridged to glargine with ___ consulted for teaching.",
        ),
        drugs=("Glargine 24 Units Bedtime", "Humalog 6 Units Breakfast"),
        plain="very high blood sugars",
        diagnosis="diabetic ketoacidosis, {kind} diabetes mellitus, secondary to {cause}",
        draft="{kind} diabetes mellitus in diabetic ketoacidosis, {cause}",
        slots={
            "kind": {
                "type 1": ("Insulin dependent since childhood, C-peptide undetectable", "On a pump, GAD antibody positive"),
                "type 2": ("Previously on metformin only", "Takes metformin and glipizide, GAD negative"),
            },
            "cause": {
                "missed insulin": ("Ran out of supplies last Tuesday", "Had skipped several doses because of cost"),
                "intercurrent viral illness": ("Grandchildren had gastroenteritis", "Sore throat and myalgias preceded it"),
            },
        },
        given=("An insulin drip and 2 L of saline were started.", "{He} received a 10 unit bolus of insulin, then a drip."),
        vitals={"HR": (106, 122), "RR": (24, 30)},
        after={"Glucose": (142, 210)},
        traits=("diabetes", "confusion"),
    ),
    Problem(
        rank=12,
        service="MEDICINE",
        names=("HypoNa", "Low sodium", "Na below 120"),
        complaints=("Confusion", "Weakness and falls"),
        histories=(
            "{He} became forgetful and unsteady over a week; the sodium at an outside hospital was 117.",
            "Found confused by the home health aide, headache and nausea in the preceding days.",
        ),
        exam={"NEURO": ("slow to respond, oriented to person only", "AOx2, inattentive, nonfocal")},
        labs={"Na": (114, 119), "Osmolal": (240, 262)},
        study="CT head",
        images=("No acute process.", "Normal for age."),
        courses=(
            "Admission Na below 120. {cause}. Corrected by less than 8 mEq per day to the mid 130s without neurologic harm.",
            "{cause}. q6h sodium checks with renal following; discharged above 132 and back to baseline mentation.",
        ),
        drugs=(),
        plain="a low salt level in your blood",
        diagnosis="severe symptomatic hyponatremia secondary to {cause}",
        draft="symptomatic hyponatremia, severe, secondary to {cause}",
        slots={
            "cause": {
                "siadh": (
                    "Urine osm 580 and Na 74 while euvolemic, improved on fluid restriction",
                    "Concentrated urine in a euvolemic patient on sertraline",
                ),
                "thiazide diuretic": ("Started HCTZ three weeks ago, now stopped", "HCTZ was the culprit and was discontinued"),
                "primary polydipsia": (
                    "Drank eight liters of water daily, urine osm 62",
                    "Maximally dilute urine after gallons of water",
                ),
            }
        },
        given=("{He} was given 100 cc of hypertonic saline.", "Urine studies were sent before any fluid."),
        after={"Na": (133, 135), "Osmolal": (275, 285)},
        traits=("salt", "confusion"),
        variants={"siadh": Variant(("Sodium Chloride 1 gm PO TID",))},
    ),
    Problem(
        rank=14,
        service="MEDICINE",
        names=("Hct drop", "Low hemoglobin", "Heme"),
        complaints=("Fatigue", "Abnormal labs"),
        histories=(
            "{He} has had fatigue and pica for months, and was noted to be pale at a checkup.",
            "Routine labs showed a hemoglobin four points below last year's.",
        ),
        exam={"HEENT": ("pale conjunctivae",), "SKIN": ("pallor of the palms",)},
        labs={"Hgb": (6.2, 6.9)},
        study="EGD",
        images=("Normal to the third portion of the duodenum.", "No source of bleeding."),
        courses=(
            "Hgb nadir below 7, received one unit. {cause}. Stable thereafter, no overt bleeding.",
            "{cause}. Guaiac negative, hemolysis labs normal. Transfused to above 7.",
        ),
        drugs=(),
        plain="a low blood count",
        diagnosis="symptomatic {cause} anemia requiring transfusion",
        draft="{cause} anemia, symptomatic, for transfusion",
        slots={
            "cause": {
                "iron deficiency": ("Ferritin 6, TIBC high", "microcytosis, ferritin undetectable, given IV Venofer"),
                "vitamin b12 deficiency": (
                    "large red cells with a B12 of 90, IF antibody positive",
                    "Macrocytosis with elevated MMA",
                ),
                "chronic kidney disease": (
                    "EPO low with a GFR in the 20s, epoetin begun",
                    "Normocytic, ferritin adequate, stage 4 by GFR, started on an ESA",
                ),
            }
        },
        given=("{He} was typed and crossed for one unit.",),
        after={"Hgb": (7.6, 8.8)},
        variants={
            "iron deficiency": Variant(("Ferrous GLUCONATE 324 mg PO DAILY",), {"MCV": (64, 72)}, {"MCV": (66, 74)}),
            "vitamin b12 deficiency": Variant(("Cyanocobalamin 1000 mcg PO DAILY",), {"MCV": (114, 122)}, {"MCV": (112, 120)}),
            "chronic kidney disease": Variant(
                ("Epoetin Alfa 4000 UNIT SC QMOWEFR",),
                {"Creat": (2.5, 3.4), "UreaN": (38, 60)},
                {"Creat": (2.4, 3.2), "UreaN": (36, 56)},
                traits=("kidneys",),
            ),
        },
        companion=True,
    ),
    Problem(
        rank=1,
        service="OMED",
        names=("Neutropenic fever", "ANC 0, fever", "F&N"),
        complaints=("Fever", "Chills after chemo"),
        histories=(
            "Cycle 2 of R-CHOP ten days ago, now with a temperature of 101.8 at home and rigors.",
            "{He} called the oncology fellow with a fever of 102 on day 11 of 7+3.",
        ),
        exam={"HEENT": ("mild mucositis, no thrush", "dry, two small oral ulcers")},
        labs={"WBC": (0.2, 0.9), "Plt Ct": (18, 60), "Hgb": (7.4, 9.0)},
        study="CT chest",
        images=("No nodules or consolidation.", "Clear, port in place."),
        courses=(
            "ANC 40. Cultured and started on cefepime. {bug}. Defervesced on day three, counts recovered with filgrastim.",
            "{bug}. Cefepime plus vancomycin until the ANC was above 500, line left in place after chemotherapy team discussion.",
        ),
        drugs=("Acyclovir 400 mg PO Q12H", "Fluconazole 200 mg PO Q24H"),
        plain="a fever while your white blood cells were low",
        diagnosis="febrile neutropenia with {bug}",
        draft="neutropenia, febrile, {bug}",
        slots={
            "bug": {
                "no identified source": ("All cultures without growth", "Infectious workup unrevealing"),
                "pseudomonas bacteremia": ("One bottle with P. aeruginosa", "Gram negative rods, oxidase positive, P. aeruginosa"),
                "port infection": ("CoNS from the indwelling catheter only", "Erythema at the chest pocket, CoNS"),
            }
        },
        given=(
            "{He} received cefepime 2 g IV within the hour.",
            "Cultures were drawn from port and periphery, then cefepime given.",
        ),
        vitals={"T": (100.9, 102.4), "HR": (102, 118)},
        after={"WBC": (1.8, 3.9), "Plt Ct": (64, 120), "Hgb": (7.8, 9.2)},
        traits=("infection", "marrow"),
        variants={
            "pseudomonas bacteremia": Variant(("CefePIME 2 g IV Q8H",)),
            "port infection": Variant(("Vancomycin 1000 mg IV Q 12H",)),
        },
    ),
)
