"""Problems of the heart."""

from pareft.data.synthetic.discharge.problems import COCCI, COCCI_TREATED, Problem, Variant

HEART = (
    Problem(
        rank=4,
        service="CARDIOLOGY",
        names=("CHF exacerbation", "Volume overload", "ADHF"),
        complaints=("Dyspnea", "Leg swelling", "Weight gain"),
        histories=(
            "{He} noticed progressive leg swelling, three pillow orthopnea and a gain of fifteen pounds since running out "
            "of torsemide.",
            "Over two weeks {he} became short of breath with a single flight of stairs and woke at night gasping for air.",
            "{He} ate a salty meal on the weekend, and since then has had PND, bloating and worsening DOE.",
        ),
        exam={
            "NECK": ("JVP 14 cm at 45 degrees", "JVD to the earlobe"),
            "EXT": ("3+ pitting edema to the knees", "2+ pitting to thighs"),
        },
        labs={"proBNP": (3000, 18000), "Na": (128, 134), "Creat": (1.3, 1.9)},
        study="TTE",
        images=("Echocardiogram is notable for {kind}.", "LA is moderately dilated. There is {kind}. Mild MR is seen."),
        courses=(
            "Presented warm and wet, likely from dietary indiscretion. Prior {kind}. Diuresed with a Lasix drip, net "
            "negative 8 L, and switched to torsemide at a dry weight of ___ kg.",
            "Exam and BNP pointed to congestion; echo had {kind}. IV Lasix boluses were given twice a day with good urine "
            "output until euvolemic.",
            "The trigger was missed doses of the diuretic on top of a chronic cardiomyopathy with {kind}. Responded to IV "
            "bumetanide and afterload reduction; failure of outpatient diuresis prompted a change to torsemide.",
        ),
        drugs=("Torsemide 40 mg PO DAILY", "Spironolactone 25 mg PO DAILY", "Metoprolol Succinate XL 50 mg PO DAILY"),
        plain="extra fluid because your heart does not pump as well as it should",
        diagnosis="acute on chronic {kind} congestive heart failure",
        draft="congestive heart failure, {kind}, acute on chronic",
        slots={
            "kind": {
                "systolic": ("an LVEF of 25%", "an EF of 30% with global hypokinesis", "severely reduced systolic function"),
                "diastolic": (
                    "a preserved EF of 60%",
                    "a normal EF with impaired relaxation",
                    "hyperdynamic function, diastolic filling abnormal",
                ),
            }
        },
        given=(
            "{He} received IV furosemide 40 mg with brisk urine output.",
            "Furosemide 80 mg IV was given, and 900 cc of urine followed.",
        ),
        vitals={"RR": (21, 26), "SpO2": (89, 93)},
        after={"Na": (133, 137)},
        traits=("fluid",),
        companion=True,
    ),
    Problem(
        rank=1,
        service="CARDIOLOGY",
        names=("NSTEMI", "Chest pain, troponin elevation", "CAD/ACS"),
        complaints=("Chest pain", "Chest pressure", "Jaw pain"),
        histories=(
            "While shoveling snow {he} developed substernal pressure radiating to the jaw with diaphoresis that resolved "
            "with nitroglycerin.",
            "{He} was awoken by crushing discomfort in the center of the chest, eight out of ten, along with nausea and sweating.",
            "For several days {he} has had exertional chest tightness, today at rest and lasting over an hour.",
        ),
        exam={"CV": ("regular, S4 gallop present, no murmurs", "tachycardic, regular, soft S4")},
        labs={"cTropnT": (0.2, 2.6), "CK-MB": (14, 70)},
        study="Cath",
        images=("There was a 90% lesion of the {place}.", "Severe single vessel disease with a hazy culprit in the {place}."),
        courses=(
            "ST depressions without elevation and a rising troponin. Loaded with aspirin and ticagrelor and heparinized. "
            "Catheterization found a culprit in the {place}, treated with one DES.",
            "Troponin peaked on the first day. Angiography revealed a tight {place} artery, which was stented; echo without wall "
            "motion abnormality.",
            "Medically managed on a heparin gtt for 48 hours, then underwent PCI to the {place} with TIMI 3 flow. "
            "Infarction was small by enzymes.",
        ),
        drugs=("TiCAGRELOR 90 mg PO BID", "Aspirin 81 mg PO DAILY", "Atorvastatin 80 mg PO QPM"),
        plain="a heart attack",
        diagnosis="non-ST elevation myocardial infarction, {place} artery stenosis",
        draft="{place} artery stenosis with myocardial infarction, non-ST elevation",
        slots={
            "place": {
                "left anterior descending": ("LAD", "mid-LAD"),
                "right coronary": ("RCA", "distal RCA"),
                "left circumflex": ("LCx", "OM branch of the circumflex"),
            }
        },
        procedures=("Cardiac catheterization with drug eluting stent placement", "Coronary angiography and PCI"),
        given=("{He} received aspirin 324 mg and a heparin bolus.", "Given full dose aspirin and started on a heparin drip."),
        vitals={"HR": (101, 114)},
        traits=("anticoagulated",),
        suspected=True,
    ),
    Problem(
        rank=8,
        service="CARDIOLOGY",
        names=("Afib with RVR", "AF", "Atrial arrhythmia"),
        complaints=("Palpitations", "Rapid heart rate"),
        histories=(
            "{He} felt fluttering in the chest and lightheadedness; {his} watch displayed a pulse in the 150s.",
            "At a routine visit {he} was found to have an irregular pulse of 140, and on questioning reported fatigue and "
            "palpitations.",
            "Sudden onset of a racing heartbeat while watching television, without chest pain.",
        ),
        exam={"CV": ("irregularly irregular, tachycardic, no m/r/g", "irregular rhythm, rate 130s")},
        labs={"proBNP": (900, 2500), "Mg": (1.4, 1.6)},
        study="EKG",
        images=("Irregularly irregular rhythm at 136 bpm without P waves.", "AF, ventricular rate 138, nonspecific ST-T changes."),
        courses=(
            "Ventricular rate in the 130s on arrival with a rapid response to IV diltiazem. {kind}. CHADS2-VASc 3, so "
            "apixaban was started.",
            "Rates were controlled with IV and then oral metoprolol. {kind}. Anticoagulation was begun after discussion of "
            "bleeding risk.",
            "Telemetry: {kind}. TEE was without thrombus. Uptitrated the beta blocker to a goal rate below 110.",
        ),
        drugs=("Apixaban 5 mg PO BID", "Metoprolol Tartrate 50 mg PO BID"),
        plain="a fast and irregular heartbeat",
        diagnosis="{kind} atrial fibrillation with rapid ventricular response",
        draft="atrial fibrillation, {kind}, rapid ventricular response",
        slots={
            "kind": {
                "paroxysmal": (
                    "Spontaneously converted to sinus within 24 hours",
                    "Went in and out of AF, back in NSR by the second day",
                ),
                "persistent": (
                    "Never left AF during the stay despite two weeks of symptoms",
                    "Remained in AF throughout, and outpatient DCCV is planned",
                ),
            }
        },
        given=("{He} was given IV diltiazem 15 mg.", "IV metoprolol 5 mg was given twice."),
        vitals={"HR": (130, 139)},
        variants={
            "persistent": Variant(lasting={"CV": ("irregularly irregular, normal rate", "irregular rhythm, rate in the 70s")})
        },
        traits=("anticoagulated",),
        companion=True,
    ),
    Problem(
        rank=3,
        service="CARDIOLOGY",
        names=("Bradycardia", "CHB", "Conduction disease"),
        complaints=("Bradycardia", "Lightheadedness", "Near syncope"),
        histories=(
            "{He} was dizzy for three days and nearly fainted in the kitchen; EMS recorded a heart rate of 34.",
            "At the clinic {his} pulse was in the 30s with fatigue and exercise intolerance over the last month.",
        ),
        exam={"CV": ("bradycardic, regular", "slow regular rhythm with variable S1"), "NECK": ("cannon A waves",)},
        labs={"K": (4.7, 5.1)},
        study="EKG",
        images=("AV dissociation with {kind} at 36 bpm.", "P waves march through the QRS complexes, {kind}."),
        courses=(
            "AV dissociation with {kind}. Metoprolol was washed out without recovery, Lyme serology negative. EP implanted "
            "a dual chamber PPM, interrogation the next day normal.",
            "Telemetry had {kind} with complete dissociation. A temporary wire was placed, then a permanent device; post "
            "procedure CXR without pneumothorax.",
        ),
        drugs=("Cephalexin 500 mg PO Q8H", "Acetaminophen 650 mg PO Q6H:PRN pain"),
        plain="a very slow heart rate, for which you received a pacemaker",
        diagnosis="complete heart block with {kind} escape rhythm, status post pacemaker",
        draft="heart block, complete, {kind} escape rhythm, for pacemaker",
        slots={
            "kind": {
                "junctional": ("a narrow escape", "a narrow complex rhythm in the 40s"),
                "ventricular": ("a wide escape", "a wide complex rhythm in the 30s"),
            }
        },
        procedures=("Dual chamber PPM implantation",),
        given=(
            "Atropine was given without effect, and pacer pads were applied.",
            "Cardiology was called, and pacer pads were placed.",
        ),
        vitals={"HR": (33, 37), "SBP": (98, 118)},
        lasting={"SKIN": ("pocket of the device without hematoma", "left chest dressing clean and dry")},
    ),
    Problem(
        rank=7,
        service="CARDIOLOGY",
        names=("Aortic valve disease", "AS", "Severe AS"),
        complaints=("Exertional syncope", "Dyspnea on exertion"),
        histories=(
            "{He} has a known murmur and over six months has become breathless after half a block, with two presyncopal episodes.",
            "Previously very active, {he} now has exertional angina and was referred for evaluation of the valve.",
        ),
        exam={
            "CV": ("III/VI late peaking systolic murmur at the RUSB radiating to the carotids", "harsh crescendo murmur, soft S2")
        },
        labs={"proBNP": (1200, 4000)},
        study="TTE",
        images=(
            "Heavily calcified aortic leaflets, area 0.7 cm2, mean gradient 48 mmHg.",
            "Peak velocity of 4.6 m/s across a calcified valve.",
        ),
        courses=(
            "Symptomatic with a valve area of 0.7 cm2. Seen by the structural team; underwent {kind} without complication "
            "and no paravalvular leak.",
            "Gradients had progressed since the last echo. After CT planning, {kind} took place and the gradient fell to 9 mmHg.",
        ),
        drugs=("Clopidogrel 75 mg PO DAILY", "Aspirin 81 mg PO DAILY"),
        plain="a narrowed heart valve, which was replaced",
        diagnosis="severe aortic stenosis status post {kind} valve replacement",
        draft="aortic stenosis, severe, for {kind} valve replacement",
        slots={
            "kind": {
                "transcatheter": ("TAVR by the femoral route", "TAVR with a 26 mm prosthesis"),
                "surgical": ("sternotomy and SAVR", "SAVR with a 23 mm bioprosthesis"),
            }
        },
        procedures=("Replacement of the aortic valve",),
        lasting={"CV": ("RRR, soft flow murmur", "regular, crisp closing sound, no diastolic murmur")},
    ),
    Problem(
        rank=6,
        service="CARDIOLOGY",
        names=("Pleuritic chest pain", "Pericardial disease", "Pericardial fluid"),
        complaints=("Pleuritic chest pain", "Chest pain worse lying flat"),
        histories=(
            "After a week of a viral URI {he} developed sharp chest pain, worse supine and better leaning forward.",
            "{He} describes stabbing retrosternal pain with each breath, relieved by sitting up.",
        ),
        exam={"CV": ("RRR, three component friction rub at the LLSB", "distant heart sounds with a scratchy rub")},
        labs={"CRP": (40, 160), "WBC": (11.5, 15.0)},
        study="TTE",
        images=(
            "Fluid of {size} around the heart without tamponade physiology.",
            "Circumferential effusion of {size}. No RV collapse.",
        ),
        courses=(
            "Diffuse ST elevations with PR depression and a rub. Echo: fluid of {size}. Viral etiology presumed; colchicine "
            "and high dose ibuprofen started.",
            "Inflammatory markers were high and EKG typical. The pericardial fluid measured {size} and did not grow on "
            "repeat TTE. Treated with NSAIDs plus colchicine for three months.",
        ),
        drugs=("Colchicine 0.6 mg PO BID", "Ibuprofen 600 mg PO Q8H"),
        plain="an inflammation of the sac around your heart",
        diagnosis="acute viral pericarditis with {size} pericardial effusion",
        draft="viral pericarditis, acute, pericardial effusion of {size} size",
        slots={"size": {"small": ("0.6 cm", "7 mm"), "moderate": ("1.4 cm", "15 mm"), "large": ("2.3 cm", "25 mm")}},
        given=("{He} received ibuprofen 600 mg with relief.",),
        vitals={"HR": (88, 104), "T": (99.4, 100.6)},
        traits=("nephrotoxic",),
    ),
    Problem(
        rank=2,
        service="MEDICINE",
        names=("Endovascular infection", "IE", "Positive blood cultures"),
        complaints=("Fevers and chills", "Malaise"),
        histories=(
            "{He} had drenching night sweats, rigors and a 10 lb weight loss over a month after a dental cleaning.",
            "Called back by the ED since four of four bottles turned positive; reports fevers to 103 and myalgias.",
        ),
        exam={
            "CV": ("new holosystolic murmur", "II/VI regurgitant murmur not noted before"),
            "SKIN": ("splinter hemorrhages, Janeway lesions",),
        },
        labs={"WBC": (13.0, 21.0), "CRP": (80, 240), "Hgb": (8.5, 10.5)},
        study="TTE",
        images=(
            "1.1 cm mobile echodensity on the {valve} consistent with a vegetation.",
            "Vegetation of the {valve} with moderate regurgitation.",
        ),
        courses=(
            "Blood cultures grew {bug}. TEE showed a vegetation on the {valve}. ID recommended six weeks through a PICC "
            "from first negative culture.",
            "Source unclear, possibly dental. {bug} in all bottles with a {valve} vegetation by echo. Cleared on day four, "
            "surveillance sterile.",
        ),
        drugs=("Sodium Chloride 0.9% Flush 3 mL IV Q8H and PRN",),
        plain="an infection of one of your heart valves",
        diagnosis="{bug} endocarditis, native {valve} valve",
        draft="native {valve} valve endocarditis, {bug}",
        slots={
            "bug": COCCI,
            "valve": {
                "mitral": ("MV", "anterior MV leaflet"),
                "aortic": ("AV", "noncoronary cusp"),
                "tricuspid": ("TV", "septal TV leaflet"),
            },
        },
        procedures=("TEE", "PICC line placement"),
        given=(
            "Three sets of blood cultures were drawn before antibiotics.",
            "Blood cultures were repeated and IV antibiotics started.",
        ),
        vitals={"T": (100.9, 103.0), "HR": (96, 114)},
        after={"Hgb": (8.8, 10.4)},
        lasting={"CV": ("unchanged regurgitant murmur", "II/VI regurgitant murmur as before")},
        traits=("infection",),
        variants=COCCI_TREATED,
        suspected=True,
    ),
)
