"""Abdominal ultrasound: titles, findings in many wordings, their normalised conclusions, and what is denied."""

from pareft.data.synthetic.findings import Exam, Finding

ABDOMEN = Exam(
    titles=("LIVER OR GALLBLADDER US", "US ABD LIMIT, SINGLE ORGAN", "RENAL U.S."),
    techniques=("Grey scale and color Doppler ultrasound images of the abdomen were obtained", "Limited sonographic evaluation"),
    complaints=("right upper quadrant pain", "abnormal liver tests", "acute kidney injury", "abdominal distension", "flank pain"),
    findings={
        "cholecystitis": Finding(
            urgency=0,
            wordings=(
                "The gallbladder wall is thickened to {count} mm with surrounding fluid and a positive sonographic Murphy sign",
                "Distended, tender gallbladder with mural edema, the wall measuring {count} mm, and an impacted stone",
            ),
            conclusion="acute cholecystitis with {count} mm gallbladder wall",
            denials=(
                "There is no gallbladder wall thickening",
                "The sonographic Murphy sign is negative",
                "No pericholecystic fluid",
            ),
            denied="no acute cholecystitis",
            questions=("eval for cholecystitis", "? acute gallbladder"),
            counts=(5, 6, 7, 8),
        ),
        "duct": Finding(
            urgency=1,
            wordings=(
                "The common bile duct measures {count} mm, above normal limits",
                "There is dilatation of the extrahepatic duct up to {count} mm",
            ),
            conclusion="dilated common bile duct to {count} mm",
            denials=(
                "The common bile duct measures 4 mm",
                "There is no intrahepatic biliary dilatation",
                "No ductal dilatation",
            ),
            denied="no biliary dilatation",
            questions=("eval for biliary obstruction", "? choledocholithiasis"),
            counts=(9, 10, 12, 14),
        ),
        "hydronephrosis": Finding(
            urgency=2,
            wordings=(
                "The {side} renal collecting system is dilated, {size} in degree",
                "There is {size} fullness of the {side} pelvicalyceal system",
                "{size} hydronephrosis is seen in the {side} kidney",
            ),
            conclusion="{size} {side} hydronephrosis",
            denials=(
                "There is no hydronephrosis",
                "The kidneys are normal without collecting system dilatation",
                "No renal obstruction",
            ),
            denied="no hydronephrosis",
            questions=("eval for hydronephrosis", "r/o obstruction"),
            sizes=("mild", "moderate", "severe"),
            paired=True,
            trend=True,
        ),
        "ascites": Finding(
            urgency=3,
            wordings=(
                "A {size} volume of free intraperitoneal fluid is present",
                "There is {size} simple fluid in all four quadrants",
                "Fluid surrounds the liver and spleen, {size} overall",
            ),
            conclusion="{size} ascites",
            denials=("There is no ascites", "No free fluid is seen"),
            denied="no ascites",
            questions=("? ascites", "mark for paracentesis"),
            sizes=("small", "moderate", "large"),
            trend=True,
        ),
        "steatosis": Finding(
            urgency=5,
            wordings=(
                "The liver is diffusely echogenic, limiting penetration",
                "Hepatic parenchyma is coarsened and bright relative to the kidney",
            ),
            conclusion="echogenic liver consistent with steatosis",
            denials=("The hepatic parenchyma appears within normal limits", "Liver echotexture is homogeneous"),
            denied="normal liver",
            questions=("eval liver echotexture",),
        ),
        "stones": Finding(
            urgency=4,
            wordings=(
                "Shadowing echogenic foci are seen in the gallbladder lumen, the largest {count} mm",
                "Multiple mobile calculi measuring up to {count} mm lie within the gallbladder",
            ),
            conclusion="cholelithiasis with stones up to {count} mm",
            denials=("No gallstones are seen", "The gallbladder is free of calculi"),
            denied="no cholelithiasis",
            questions=("? gallstones",),
            counts=(6, 8, 11, 15, 18),
        ),
        "cyst": Finding(
            urgency=7,
            wordings=(
                "A simple {count} cm anechoic lesion arises from the {side} kidney",
                "There is a {count} cm exophytic cyst of the {side} kidney",
            ),
            conclusion="{count} cm simple {side} renal cyst",
            counts=(2, 3, 4, 5),
        ),
    },
    incidental=(
        "The spleen measures 10 cm",
        "The pancreas is obscured by overlying bowel gas",
        "The main portal vein is patent with hepatopetal flow",
        "The bladder is only minimally distended",
        "Visualized aorta is of normal caliber",
    ),
    normal="normal abdominal ultrasound",
    circumstances=(
        "The patient had two days of nausea with poor oral intake and a low grade temperature",
        "Laboratory tests on admission were abnormal and have been rising since yesterday",
        "History of prior abdominal operations and of diabetes treated with insulin",
        "Referred by the primary care physician after an outpatient visit this morning",
        "Pain is worse after meals and radiates to the back and the shoulder",
        "Creatinine is above baseline, and urine output has decreased overnight",
    ),
    protocols=(
        "The examination was performed with a curved transducer, with the patient supine and in the decubitus position",
        "Evaluation is limited by body habitus and by bowel gas in the midline",
        "Spectral waveforms were recorded from the main vessels, and cine clips were stored",
        "The study was performed at the bedside by a sonographer and reviewed by the radiologist in real time",
        "The patient had been fasting for six hours before the examination was started",
    ),
    surroundings=(
        "The hepatic veins and the inferior vena cava are patent with normal waveforms",
        "The right kidney measures 11 cm and the left kidney measures 10.8 cm in length",
        "Renal cortical thickness and echogenicity are preserved on both sides",
        "The pancreatic tail is not seen, while the visualized head and body are unremarkable",
        "Bilateral ureteral jets are demonstrated at the bladder base with color imaging",
        "The abdominal aorta tapers normally, and its distal portion is obscured",
        "No enlarged lymph nodes are identified near the porta hepatis",
        "An accessory spleen near the hilum measures about one centimeter",
        "The prevoid bladder volume was calculated at 180 cc, with a small residual",
        "No suspicious solid mass is seen in the portions of the organs that were imaged",
    ),
)
