"""Problems of the liver, the bile ducts and the pancreas."""

from pareft.data.synthetic.discharge.problems import Problem, Variant

LIVER = (
    Problem(
        rank=4,
        service="SURGERY",
        names=("Gallbladder disease", "RUQ pain", "Biliary"),
        complaints=("RUQ pain", "Abdominal pain"),
        histories=(
            "After a fatty meal {he} had colicky right upper quadrant pain going to the shoulder blade, with vomiting.",
            "Three similar attacks this year; this one did not pass and was followed by fevers.",
        ),
        exam={"ABD": ("soft, RUQ tenderness with positive Murphy's sign", "tender in the RUQ with guarding")},
        labs={"WBC": (12.5, 19.0), "AlkPhos": (140, 260)},
        study="RUQ US",
        images=("Distended gallbladder with wall edema, {kind}.", "Positive sonographic Murphy's sign; {kind}."),
        courses=(
            "Ultrasound: {kind}. Taken to the OR for laparoscopic cholecystectomy, tolerated well; diet advanced the same evening.",
            "Made NPO and given Unasyn. At operation the gallbladder was acutely inflamed, {kind}. Drain removed before discharge.",
        ),
        drugs=("Oxycodone 5 mg PO Q4H:PRN pain", "Senna 8.6 mg PO BID:PRN constipation"),
        plain="an inflamed gallbladder, which was removed",
        diagnosis="acute {kind} cholecystitis status post laparoscopic cholecystectomy",
        draft="{kind} cholecystitis, acute, for laparoscopic cholecystectomy",
        slots={
            "kind": {
                "calculous": ("a stone impacted in the neck", "many shadowing stones"),
                "acalculous": ("no stones", "sludge but no stones"),
                "gangrenous": ("a necrotic wall", "sloughed mucosa and a necrotic wall"),
            }
        },
        procedures=("Laparoscopic cholecystectomy",),
        given=("{He} was given IV morphine 4 mg and ondansetron 4 mg.", "Surgery was consulted, and {he} was made NPO."),
        vitals={"T": (100.2, 101.9), "HR": (92, 108)},
        lasting={"ABD": ("soft, port sites clean and dry", "soft, appropriately tender at the incisions")},
        traits=("infection",),
    ),
    Problem(
        rank=3,
        service="MEDICINE",
        names=("Pancreatic inflammation", "Epigastric pain, lipase elevation", "Elevated lipase"),
        complaints=("Epigastric pain", "Abdominal pain, nausea"),
        histories=(
            "{He} had constant epigastric pain boring through to the back, unable to keep anything down. {kind}.",
            "{kind}. Woke with severe upper abdominal pain, eased by bending forward.",
        ),
        exam={"ABD": ("epigastric tenderness without rebound, hypoactive bowel sounds", "distended, tender in the epigastrium")},
        labs={"Lipase": (600, 3800), "WBC": (12.0, 17.0), "Calcium": (7.6, 8.3)},
        study="CT abdomen",
        images=("Peripancreatic stranding without necrosis.", "Edematous pancreas, no organized collection."),
        courses=(
            "BISAP 1. {kind}. Aggressive LR, bowel rest and IV hydromorphone; advanced to a low fat diet on day three.",
            "Lipase greater than three times normal. {kind}. Pain well controlled, tolerating a regular diet.",
        ),
        drugs=("HYDROmorphone (Dilaudid) 2 mg PO Q6H:PRN pain", "Ondansetron 4 mg PO Q8H:PRN nausea"),
        plain="an inflamed pancreas",
        diagnosis="acute {kind} pancreatitis without necrosis",
        draft="{kind} pancreatitis, acute",
        slots={
            "kind": {
                "gallstone": ("US with cholelithiasis and a dilated CBD", "MRCP found a small stone in the duct"),
                "alcoholic": ("Drinks a pint of vodka a day", "Binge drinking for a week beforehand"),
                "hypertriglyceridemic": (
                    "Triglycerides were above 2,500",
                    "Lipemic serum with TG in the thousands, improved on insulin",
                ),
            }
        },
        given=("{He} received 2 L of LR and IV hydromorphone.", "IV hydromorphone 1 mg and aggressive fluids were given."),
        vitals={"HR": (98, 114)},
        variants={
            "gallstone": Variant(labs={"ALT": (160, 380), "AlkPhos": (130, 240)}),
            "alcoholic": Variant(("Thiamine 100 mg PO DAILY", "FoLIC Acid 1 mg PO DAILY"), {"AST": (70, 140)}),
            "hypertriglyceridemic": Variant(("Fenofibrate 145 mg PO DAILY",), {"Triglyc": (2550, 3400)}),
        },
    ),
    Problem(
        rank=3,
        service="MEDICINE",
        names=("ESLD", "Liver disease", "Decompensation, MELD 22"),
        complaints=("Jaundice", "Increasing abdominal girth", "Confusion"),
        histories=(
            "{He} had two weeks of jaundice and swelling. Known liver disease: {kind}. {sign}.",
            "{sign}. Family noted yellow eyes. Liver history: {kind}.",
        ),
        exam={
            "ABD": ("distended, nontender", "distended, caput medusae"),
            "SKIN": ("jaundiced, spider angiomata", "icteric with palmar erythema"),
            "HEENT": ("scleral icterus",),
        },
        labs={"TotBili": (4.0, 12.0), "INR": (1.6, 2.4), "Albumin": (2.1, 2.8), "Plt Ct": (48, 90)},
        study="RUQ US",
        images=("Nodular, coarse liver with a patent portal vein.", "Shrunken liver, splenomegaly to 16 cm."),
        courses=(
            "Childs C, {kind}. {sign}. Portal vein patent. Lactulose titrated to three bowel movements.",
            "{sign}. Etiology: {kind}. Seen by hepatology; received albumin, nutrition consult and an outpatient transplant "
            "evaluation.",
        ),
        drugs=("Lactulose 30 mL PO TID",),
        plain="worsening of your liver disease",
        diagnosis="decompensated {kind} cirrhosis with {sign}",
        draft="{kind} cirrhosis, decompensated, {sign}",
        slots={
            "kind": {
                "alcoholic": ("ETOH", "years of heavy drinking"),
                "hepatitis c": ("HCV, never treated", "HCV genotype 1a"),
                "nonalcoholic steatohepatitis": ("NASH", "fatty liver with diabetes and obesity"),
            },
            "sign": {
                "ascites": ("Tense belly with a fluid wave, 6 L removed by tap", "Massive peritoneal fluid, LVP of 8 L"),
                "hepatic encephalopathy": ("Sleepy and disoriented with asterixis", "Confused with a flap, ammonia elevated"),
                "hepatorenal syndrome": (
                    "Creatinine rose to above 3 despite albumin, on octreotide and midodrine",
                    "Oliguria unresponsive to albumin challenge, on midodrine",
                ),
            },
        },
        procedures=("Diagnostic and therapeutic paracentesis",),
        given=("A diagnostic paracentesis was done in the ED.", "{He} was given albumin, and hepatology was called."),
        vitals={"SBP": (96, 112)},
        after={"TotBili": (3.2, 6.0), "INR": (1.5, 1.9), "Albumin": (2.5, 3.1), "Plt Ct": (50, 95)},
        lasting={"SKIN": ("less jaundiced, spider angiomata",), "ABD": ("mildly distended, soft",)},
        traits=("fluid", "liver"),
        variants={
            "ascites": Variant(("Furosemide 40 mg PO DAILY", "Spironolactone 100 mg PO DAILY")),
            "hepatic encephalopathy": Variant(
                ("Rifaximin 550 mg PO BID",), exam={"NEURO": ("oriented to name only, asterixis",)}, traits=("confusion",)
            ),
            "hepatorenal syndrome": Variant(
                ("Midodrine 10 mg PO TID",),
                {"Creat": (2.9, 3.6), "UreaN": (46, 72)},
                {"Creat": (2.0, 2.6), "UreaN": (34, 46)},
                traits=("kidneys",),
            ),
        },
    ),
    Problem(
        rank=2,
        service="MEDICINE",
        names=("Biliary sepsis", "Jaundice and fever", "Obstructive jaundice"),
        complaints=("Fever and jaundice", "RUQ pain and chills"),
        histories=(
            "{He} presented with rigors, dark urine and pain beneath the ribs on the right side.",
            "Triad of fever, jaundice and RUQ pain developing overnight.",
        ),
        exam={
            "HEENT": ("icteric sclerae",),
            "ABD": ("RUQ tenderness, no Murphy's sign", "soft, tender below the right costal margin"),
        },
        labs={"TotBili": (3.5, 8.0), "AlkPhos": (300, 620), "ALT": (140, 420), "AST": (120, 390), "WBC": (14.0, 22.0)},
        study="MRCP",
        images=("CBD of 13 mm with {cause}.", "Dilated ducts upstream of {cause}."),
        courses=(
            "MRCP revealed {cause}. Urgent ERCP with sphincterotomy drained pus; LFTs downtrended on zosyn.",
            "Ducts were obstructed by {cause}. ERCP with stent placement, repeat in eight weeks to remove it.",
        ),
        drugs=("Ciprofloxacin HCl 500 mg PO Q12H", "Ursodiol 300 mg PO BID"),
        plain="an infection of your bile ducts",
        diagnosis="acute ascending cholangitis secondary to {cause}",
        draft="ascending cholangitis, acute, {cause}",
        slots={
            "cause": {
                "choledocholithiasis": ("a stone at the ampulla", "two stones in the distal CBD"),
                "malignant biliary stricture": (
                    "an irregular narrowing with a mass, brushings malignant",
                    "a shouldered narrowing near the pancreatic head mass",
                ),
            }
        },
        procedures=("ERCP with sphincterotomy",),
        given=(
            "{He} received fluids and a first dose of IV antibiotics.",
            "ERCP team was called from the ED, and antibiotics were started.",
        ),
        vitals={"T": (101.4, 103.2), "HR": (104, 118), "SBP": (94, 108)},
        after={"TotBili": (1.4, 2.6), "AlkPhos": (160, 280)},
        traits=("infection",),
        suspected=True,
    ),
)
