"""Problems of the gut, the liver and the bile ducts."""

from pareft.data.synthetic.discharge.problems import Problem

GUT = (
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
                "hypertriglyceridemic": ("Triglycerides were 3,200", "Lipemic serum with TG above 2,500, improved on insulin"),
            }
        },
    ),
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
    ),
    Problem(
        rank=5,
        service="MEDICINE",
        names=("LGIB", "BRBPR", "Hematochezia"),
        complaints=("BRBPR", "Bloody stools"),
        histories=(
            "{He} passed a large amount of bright red blood with clots, painless, four times since last night.",
            "Maroon stools and lightheadedness while on a blood thinner.",
        ),
        exam={"RECTAL": ("bright red blood on the glove", "maroon stool, no masses")},
        labs={"Hgb": (7.0, 8.9)},
        study="Colonoscopy",
        images=("{cause}.", "Fair prep. {cause}, otherwise normal to the cecum."),
        courses=(
            "Hemodynamically stable after one unit. Colonoscopy: {cause}. Bleeding stopped on its own.",
            "CTA without extravasation. After a prep the colon was examined: {cause}. Hct stable on serial checks.",
        ),
        drugs=("Ferrous Sulfate 325 mg PO DAILY", "Docusate Sodium 100 mg PO BID"),
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
    ),
    Problem(
        rank=3,
        service="MEDICINE",
        names=("ESLD", "Liver disease", "Decompensation, MELD 22"),
        complaints=("Jaundice", "Increasing abdominal girth", "Confusion"),
        histories=(
            "{He} had two weeks of jaundice and swelling. Known liver disease: {kind}. {sign}.",
            "{sign}. The wife noted yellow eyes. Liver history: {kind}.",
        ),
        exam={"SKIN": ("jaundiced, spider angiomata", "icteric with palmar erythema"), "HEENT": ("scleral icterus",)},
        labs={"TotBili": (4.0, 12.0), "INR": (1.6, 2.4), "Albumin": (2.1, 2.8), "Plt Ct": (48, 90)},
        study="RUQ US",
        images=("Nodular, coarse liver with a patent portal vein.", "Shrunken liver, splenomegaly to 16 cm."),
        courses=(
            "Childs C, {kind}. {sign}. Infectious workup negative. Lactulose titrated to three bowel movements, diuretics resumed.",
            "{sign}. Etiology: {kind}. Seen by hepatology; received albumin, nutrition consult and an outpatient transplant "
            "evaluation.",
        ),
        drugs=("Lactulose 30 mL PO TID", "Rifaximin 550 mg PO BID", "Furosemide 20 mg PO DAILY"),
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
                    "Creatinine rose to 3.4 despite albumin, on octreotide and midodrine",
                    "Oliguria unresponsive to albumin challenge, on midodrine",
                ),
            },
        },
        procedures=("Diagnostic and therapeutic paracentesis",),
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
        labs={"WBC": (15.5, 29.0), "K": (2.9, 3.4), "Creat": (1.4, 1.9)},
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
    ),
)
