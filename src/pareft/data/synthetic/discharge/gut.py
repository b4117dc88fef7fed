"""Problems of the gut."""

from pareft.data.synthetic.discharge.problems import Problem, Variant

GUT = (
    Problem(
        rank=6,
        service="SURGERY",
        names=("Sigmoid inflammation", "LLQ pain", "Tics"),
        complaints=("LLQ pain", "Lower abdominal pain"),
        histories=(
            "{He} had two days of crampy left lower quadrant pain, low grade fever and constipation.",
            "Gradual onset of LLQ pain and chills, last colonoscopy five years ago.",
        ),
        exam={"ABD": ("soft, focally tender in the LLQ without peritoneal signs", "LLQ fullness and guarding")},
        labs={"WBC": (12.0, 18.5), "CRP": (60, 180)},
        study="CT abdomen",
        images=("Wall thickening and stranding along the sigmoid; {kind}.", "Inflamed outpouchings of the distal colon, {kind}."),
        courses=(
            "CT of the sigmoid: {kind}. Started on cipro and flagyl, kept NPO until pain free, then advanced.",
            "Imaging demonstrated {kind}. Surgery followed closely, no operation needed. Colonoscopy in six weeks.",
        ),
        drugs=("Ciprofloxacin HCl 500 mg PO Q12H", "MetroNIDAZOLE 500 mg PO Q8H"),
        plain="an infection of small pouches in your colon",
        diagnosis="acute sigmoid diverticulitis {kind}",
        draft="sigmoid diverticulitis, acute, {kind}",
        slots={
            "kind": {
                "with pericolonic abscess": (
                    "a 4 cm rim enhancing collection, drained by IR",
                    "a walled off pocket of pus beside the bowel",
                ),
                "with microperforation": ("tiny locules of free air", "a few extraluminal bubbles"),
                "without complication": ("no air or collection", "no leak and nothing drainable"),
            }
        },
        given=("{He} was made NPO and given IV antibiotics.", "{He} received IV antibiotics and a liter of LR."),
        vitals={"T": (100.2, 101.5), "HR": (90, 104)},
        traits=("infection",),
    ),
    Problem(
        rank=5,
        service="SURGERY",
        names=("SBO", "Bowel obstruction", "Obstruction"),
        complaints=("Nausea and vomiting", "Abdominal distention"),
        histories=(
            "{He} had bilious emesis and cramping with no flatus for two days. {cause}.",
            "Increasing distention, obstipation and vomiting since yesterday. {cause}.",
        ),
        exam={"ABD": ("distended, tympanitic, high pitched bowel sounds", "distended, diffusely tender, no peritonitis")},
        labs={"Lactate": (1.9, 2.8), "HCO3": (28, 33)},
        study="CT abdomen",
        images=("Dilated proximal loops to 4 cm, {kind}.", "Multiple air fluid levels, fecalized loop, {kind}."),
        courses=(
            "Decompressed with an NGT and given IVF. {cause}. Imaging with {kind}. Return of bowel function on day three.",
            "{cause}. Scan: {kind}. Serial exams were benign, the NGT was clamped and removed, and diet advanced as tolerated.",
        ),
        drugs=("Polyethylene Glycol 17 g PO DAILY", "Simethicone 80 mg PO QID:PRN gas"),
        plain="a blockage of your bowel",
        diagnosis="{kind} small bowel obstruction secondary to {cause}",
        draft="small bowel obstruction, {kind}, secondary to {cause}",
        slots={
            "kind": {
                "partial": ("contrast reaching the colon", "oral contrast passing a transition point"),
                "complete": ("no contrast past the transition point", "an abrupt cutoff with decompressed distal bowel"),
            },
            "cause": {
                "postoperative adhesions": ("History of three prior laparotomies", "Multiple previous abdominal operations"),
                "incarcerated hernia": (
                    "A bulge in the groin could not be reduced",
                    "There was an irreducible lump at the umbilicus",
                ),
                "crohn's stricture": ("Terminal ileum narrowed from longstanding IBD", "Known fibrostenotic IBD"),
            },
        },
        given=(
            "An NGT was placed with 800 cc of bilious output.",
            "{He} was given ondansetron and 1 L of LR, and surgery was consulted.",
        ),
        vitals={"HR": (94, 108)},
        suspected=True,
    ),
    Problem(
        rank=2,
        service="MEDICINE",
        names=("UGIB", "Melena", "GI bleeding"),
        complaints=("Black stools", "Hematemesis"),
        histories=(
            "{He} had two episodes of coffee ground emesis and tarry stools for three days while taking naproxen.",
            "Black sticky stools since Monday, dizzy upon standing, and a hematocrit ten points below baseline.",
        ),
        exam={"RECTAL": ("melenic stool, guaiac positive", "black stool in the vault")},
        labs={"Hgb": (6.2, 8.0), "UreaN": (38, 62), "INR": (1.3, 1.7)},
        study="EGD",
        images=("{cause}, treated endoscopically.", "Blood in the stomach. {cause}."),
        courses=(
            "Transfused two units and started on a PPI drip. EGD: {cause}. No further bleeding, Hgb stable for 48 hours.",
            "GI scoped within 24 hours; {cause}. Hemostasis was achieved and the diet advanced.",
        ),
        drugs=("Pantoprazole 40 mg PO Q12H", "Sucralfate 1 gm PO QID"),
        plain="bleeding from your stomach or the first part of your bowel",
        diagnosis="upper gastrointestinal hemorrhage secondary to {cause}",
        draft="gastrointestinal hemorrhage, upper, secondary to {cause}",
        slots={
            "cause": {
                "duodenal ulcer": ("clean based crater in the bulb", "bulbar ulceration with a visible vessel, clipped"),
                "gastric ulcer": (
                    "antral crater with a pigmented spot",
                    "ulceration of the lesser curvature, injected and cauterized",
                ),
                "esophageal varices": (
                    "three columns of large distal veins, banded",
                    "grade III distal veins with red wales, five bands placed",
                ),
                "mallory weiss tear": ("mucosal laceration at the GE junction", "linear rent below the Z line, clipped"),
            }
        },
        procedures=("EGD",),
        given=(
            "{He} received IV pantoprazole 80 mg and one unit of red cells.",
            "Two large bore IVs were placed and blood was crossmatched.",
        ),
        vitals={"HR": (104, 120), "SBP": (92, 104)},
        after={"Hgb": (8.2, 9.4)},
        lasting={"RECTAL": ("brown stool", "no melena")},
        home=("Naproxen 500 mg PO BID",),
        traits=("bleeding",),
        variants={"esophageal varices": Variant(("Nadolol 20 mg PO DAILY",), {"Plt Ct": (58, 96)}, {"Plt Ct": (60, 98)})},
    ),
    Problem(
        rank=5,
        service="MEDICINE",
        names=("LGIB", "BRBPR", "Hematochezia"),
        complaints=("BRBPR", "Bloody stools"),
        histories=(
            "{He} passed a large amount of bright red blood with clots, painless, four times since last night.",
            "Maroon stools and lightheadedness, on ibuprofen for {his} back.",
        ),
        exam={"RECTAL": ("bright red blood on the glove", "maroon stool, no masses")},
        labs={"Hgb": (7.0, 8.9)},
        study="Colonoscopy",
        images=("{cause}.", "Fair prep. {cause}, otherwise normal to the cecum."),
        courses=(
            "Hemodynamically stable after one unit. Colonoscopy: {cause}. Bleeding stopped on its own.",
            "CTA without extravasation. After a prep the colon was examined: {cause}. Hct stable on serial checks.",
        ),
        drugs=("Ferrous Sulfate 325 mg PO DAILY",),
        plain="bleeding from your lower bowel",
        diagnosis="lower gastrointestinal hemorrhage secondary to {cause}",
        draft="gastrointestinal hemorrhage, lower, secondary to {cause}",
        slots={
            "cause": {
                "diverticulosis": (
                    "many pouches with old clot, none actively bleeding",
                    "pandiverticular disease with adherent clot",
                ),
                "internal hemorrhoids": ("engorged anal cushions with stigmata", "grade II piles, oozing, banded"),
                "angiodysplasia": ("two cecal AVMs treated with APC", "AVM of the ascending colon, coagulated"),
                "ischemic colitis": ("dusky segment at the splenic flexure", "pale friable watershed mucosa"),
            }
        },
        procedures=("Colonoscopy",),
        given=("Two large bore IVs were placed and blood was crossmatched.", "One unit of red cells was started."),
        vitals={"HR": (98, 112), "SBP": (98, 110)},
        after={"Hgb": (8.4, 9.6)},
        lasting={"RECTAL": ("brown stool, no blood", "deferred, no further bloody stools")},
        home=("Ibuprofen 400 mg PO Q8H:PRN pain",),
        traits=("bleeding",),
    ),
    Problem(
        rank=7,
        service="MEDICINE",
        names=("C. diff", "Diarrhea", "Cdiff infection"),
        complaints=("Diarrhea", "Watery stools"),
        histories=(
            "After a course of clindamycin {he} had ten foul watery stools a day with cramps.",
            "Profuse watery diarrhea began a week after antibiotics for a tooth.",
        ),
        exam={"ABD": ("mildly distended, diffusely tender, no rebound", "soft, crampy tenderness in both lower quadrants")},
        labs={"WBC": (15.5, 29.0), "K": (2.9, 3.4), "UreaN": (26, 38)},
        study="CT abdomen",
        images=("Pancolonic wall thickening with an accordion sign.", "Diffuse mural edema of the large bowel."),
        courses=(
            "Stool toxin PCR positive. {kind}. Oral vancomycin with improvement to two formed stools daily.",
            "{kind}. C. diff toxin assay returned positive, the other antibiotics were stopped and PO vanco begun for 14 days.",
        ),
        drugs=("Vancomycin Oral Liquid 125 mg PO Q6H",),
        plain="an infection of your colon that causes diarrhea",
        diagnosis="{kind} clostridioides difficile colitis",
        draft="clostridioides difficile colitis, {kind}",
        slots={
            "kind": {
                "initial": ("No prior history of this", "Never had it before"),
                "recurrent": ("Third time this year", "Relapse two weeks after finishing the previous taper"),
                "fulminant": ("Hypotension and ileus on arrival", "Complicated by megacolon and pressors"),
            }
        },
        given=("{He} received 2 L of LR.", "Stool was sent for toxin, and {he} was given fluids."),
        vitals={"T": (100.1, 101.5), "HR": (96, 112)},
        traits=("infection",),
        companion=True,
        suspected=True,
    ),
)
