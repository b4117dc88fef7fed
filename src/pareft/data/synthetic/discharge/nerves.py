"""Problems of brain and nerves."""

from pareft.data.synthetic.discharge.problems import COCCI, COCCI_TREATED, SIDES, Problem, Variant

NERVES = (
    Problem(
        rank=1,
        service="NEUROLOGY",
        names=("CVA", "Code stroke", "Focal weakness"),
        complaints=("Weakness", "Slurred speech", "Facial droop"),
        histories=(
            "{He} was last seen well at breakfast, then had facial droop and dropped a cup; the spouse called EMS.",
            "Sudden difficulty speaking with weakness of the arm, NIHSS 9 on arrival.",
        ),
        exam={
            "NEURO": ("facial droop, pronator drift, dysarthria", "4/5 arm strength, extinction to double simultaneous stimulation")
        },
        labs={"LDL": (130, 190)},
        study="MRI head",
        images=("Restricted diffusion, {side} {place}.", "{place} on the {side} with slow diffusion on ADC."),
        courses=(
            "MRI with restricted diffusion, {side} {place}. Etiology: {cause}. Passed swallow evaluation, statin started, rehab "
            "recommended.",
            "tPA was given within the window. Imaging: {side} {place}. Workup pointed to {cause}. NIHSS 3 when leaving.",
        ),
        drugs=("Atorvastatin 80 mg PO QPM",),
        plain="a stroke",
        diagnosis="{cause} ischemic stroke, {side} {place} territory",
        draft="ischemic stroke, {cause}, {side} {place}",
        slots={
            "side": SIDES,
            "place": {
                "middle cerebral artery": ("MCA", "insula and frontal operculum"),
                "posterior cerebral artery": ("PCA", "occipital cortex"),
            },
            "cause": {
                "cardioembolic": ("AF found on telemetry", "a thrombus in the LV apex"),
                "large vessel atherosclerotic": ("80% ICA plaque upstream", "tight carotid plaque on the same side"),
                "cryptogenic": ("nothing despite TEE, loop recorder placed", "no cause after vessel imaging and echo"),
            },
        },
        given=("Neurology was called within minutes and a code stroke activated.", "Blood pressure was allowed to run high."),
        vitals={"SBP": (156, 182)},
        lasting={"NEURO": ("mild residual droop, no drift", "strength 4+/5, speech clear")},
        traits=("anticoagulated",),
        variants={
            "cardioembolic": Variant(("Apixaban 5 mg PO BID",)),
            "large vessel atherosclerotic": Variant(("Aspirin EC 81 mg PO DAILY", "Clopidogrel 75 mg PO DAILY")),
            "cryptogenic": Variant(("Aspirin EC 81 mg PO DAILY", "Clopidogrel 75 mg PO DAILY")),
        },
        suspected=True,
    ),
    Problem(
        rank=0,
        service="NEUROSURGERY",
        names=("Intracranial bleed", "Head bleed", "Fall on anticoagulation"),
        complaints=("Headache", "Head injury after a fall"),
        histories=(
            "{He} slipped on ice and struck {his} head while on warfarin; headache and vomiting followed.",
            "Weeks of headache and gait trouble after hitting {his} head on a cabinet; takes warfarin.",
        ),
        exam={"NEURO": ("drowsy, opens eyes to voice, subtle drift", "GCS 14, mild pronator drift")},
        labs={"INR": (2.4, 4.0)},
        study="CT head",
        images=("{kind} along the {side} convexity with 5 mm of shift.", "{side} crescentic collection, {kind}."),
        courses=(
            "CT: {side} crescentic collection, {kind}. Reversed with Kcentra and taken for {repair}. Keppra for seven days.",
            "{repair} over the {side} convexity without complication; collection ({kind}) smaller on the repeat scan.",
        ),
        drugs=("LevETIRAcetam 500 mg PO BID", "Acetaminophen 325 mg PO Q6H:PRN headache"),
        plain="bleeding around your brain",
        diagnosis="{kind} {side} subdural hematoma status post {repair} evacuation",
        draft="{side} subdural hematoma, {kind}, for {repair}",
        slots={
            "side": SIDES,
            "kind": {
                "acute": ("hyperdense blood", "uniformly bright blood"),
                "chronic": ("hypodense blood with membranes", "isodense to dark blood, septated"),
            },
            "repair": {
                "burr hole": ("two trephinations and a drain", "bedside twist drill drainage"),
                "craniotomy": ("removal of a bone flap", "open removal through a frontoparietal flap"),
            },
        },
        procedures=("Evacuation of hematoma",),
        given=("Vitamin K and Kcentra were given, and neurosurgery was called.", "{He} received Kcentra and levetiracetam 1 g."),
        vitals={"SBP": (146, 168)},
        after={"INR": (1.0, 1.2)},
        lasting={
            "SKIN": ("scalp staples clean and dry", "incision well approximated"),
            "NEURO": ("alert, full strength, no drift",),
        },
        home=("Warfarin 5 mg PO DAILY16",),
        traits=("bleeding", "confusion"),
    ),
    Problem(
        rank=5,
        service="NEUROLOGY",
        names=("Sz", "Convulsions", "Shaking episodes"),
        complaints=("Seizure", "Shaking episode"),
        histories=(
            "The partner witnessed a stare followed by {sign}. {cause}.",
            "{cause}. {He} was then found with a bitten tongue and incontinence; a bystander described {sign}.",
        ),
        exam={"NEURO": ("postictal, moves all four, tongue laceration", "sleepy, Todd's weakness resolving")},
        labs={"Lactate": (2.4, 6.0), "CK": (400, 1600)},
        study="MRI head",
        images=("No mass or abnormal enhancement.", "Mild volume loss, no focus identified."),
        courses=(
            "Semiology: {sign}. {cause}. Loaded with levetiracetam, EEG without further events.",
            "{cause}. Ativan in the ED stopped {sign}. Antiepileptic dose increased, driving restrictions reviewed.",
        ),
        drugs=("LevETIRAcetam 1000 mg PO BID",),
        plain="a seizure",
        diagnosis="breakthrough {sign} seizure due to {cause}",
        draft="{sign} seizure, breakthrough, {cause}",
        slots={
            "sign": {
                "generalized tonic clonic": ("whole body stiffening, then rhythmic jerking", "stiff limbs and bilateral jerking"),
                "focal impaired awareness": ("lip smacking and unresponsiveness", "picking at clothes without responding"),
            },
            "cause": {
                "subtherapeutic drug level": ("Phenytoin level was 3", "Depakote level came back very low"),
                "sleep deprivation": ("Two night shifts in a row beforehand", "Up for 36 hours with a newborn"),
            },
        },
        given=("{He} received IV lorazepam 2 mg and was loaded with levetiracetam.",),
        vitals={"HR": (98, 112)},
        traits=("confusion",),
        suspected=True,
    ),
    Problem(
        rank=13,
        service="MEDICINE",
        names=("AMS", "Delirium", "Mental status"),
        complaints=("Altered mental status", "Agitation"),
        histories=(
            "Per the daughter {he} has been pulling at things, awake all night and not recognizing people. {cause}.",
            "{cause}. Waxing and waning attention for three days, worse in the evening.",
        ),
        exam={"NEURO": ("oriented to self only, cannot say months backward", "inattentive, fluctuating, moves all extremities")},
        labs={"UreaN": (28, 40)},
        study="CT head",
        images=("No bleed or mass effect.", "Atrophy, no acute change."),
        courses=(
            "Fluctuating attention, nonfocal. {cause}. Sleep wake hygiene, glasses and family at bedside, brief use of quetiapine.",
            "{cause}. Head imaging and TSH unremarkable. Restraints avoided, cleared to baseline after three days.",
        ),
        drugs=("QUEtiapine Fumarate 12.5 mg PO QHS:PRN agitation", "Ramelteon 8 mg PO QPM"),
        plain="confusion",
        diagnosis="toxic metabolic encephalopathy secondary to {cause}",
        draft="metabolic encephalopathy, toxic, secondary to {cause}",
        slots={
            "cause": {
                "opioid use": ("Oxycodone had been doubled, better after naloxone", "Pinpoint pupils, fentanyl patch removed"),
                "anticholinergic medication": ("Taking Benadryl and oxybutynin", "Diphenhydramine for sleep, now off it"),
                "uremia": ("BUN above 100 with asterixis", "Myoclonus, cleared with dialysis"),
                "constipation": ("No stool for nine days, disimpacted", "Impacted on KUB, improved with enemas"),
            }
        },
        given=("{He} needed a sitter.", "Haloperidol 2 mg was given for agitation."),
        traits=("confusion",),
        variants={
            "uremia": Variant(
                ("Sevelamer CARBONATE 800 mg PO TID W/MEALS",),
                {"Creat": (6.4, 9.2), "UreaN": (112, 138)},
                {"Creat": (3.8, 5.0), "UreaN": (44, 62)},
                traits=("kidneys",),
            ),
            "constipation": Variant(("Polyethylene Glycol 17 g PO DAILY", "Senna 8.6 mg PO BID")),
        },
        companion=True,
    ),
    Problem(
        rank=7,
        service="MEDICINE",
        names=("ETOH", "CIWA", "Alcohol use"),
        complaints=("Tremors", "Anxiety and tremor"),
        histories=(
            "{He} drinks a fifth of vodka daily, last drink two days ago, now shaky and sweating. {sign}.",
            "Stopped drinking on Sunday in order to quit. {sign}.",
        ),
        exam={"NEURO": ("coarse tremor of outstretched hands, tongue fasciculations", "tremulous, hyperreflexic")},
        labs={"AST": (110, 260), "ALT": (50, 110), "Mg": (1.1, 1.5)},
        study="CT head",
        images=("No hemorrhage.", "Cerebellar atrophy."),
        courses=(
            "Phenobarbital load, CIWA scores up to 24. {sign}. Thiamine, folate and MVI given; social work provided resources.",
            "{sign}. Diazepam taper over four days, electrolytes repleted, interested in naltrexone.",
        ),
        drugs=("Thiamine 100 mg PO DAILY", "FoLIC Acid 1 mg PO DAILY", "Naltrexone 50 mg PO DAILY"),
        plain="the effects of stopping alcohol",
        diagnosis="severe alcohol withdrawal complicated by {sign}",
        draft="alcohol withdrawal, severe, {sign}",
        slots={
            "sign": {
                "delirium tremens": (
                    "Disoriented, febrile to 101 and tachycardic to 150",
                    "Autonomic instability with confusion, ICU for two nights",
                ),
                "withdrawal seizures": ("Two convulsions within 24 hours of the last drink", "Convulsed once in triage"),
                "hallucinosis": ("Saw insects on the wall with clear sensorium", "Heard voices, otherwise oriented"),
            }
        },
        given=("{He} received 20 mg of IV diazepam over two hours.", "Diazepam 10 mg and a banana bag were given."),
        vitals={"HR": (108, 124), "SBP": (150, 172)},
        after={"AST": (48, 80)},
        lasting={"NEURO": ("fine tremor only, steady gait", "no tremor, steady gait")},
        traits=("confusion",),
    ),
    Problem(
        rank=1,
        service="MEDICINE",
        names=("CNS infection", "Headache, stiff neck", "Abnormal CSF"),
        complaints=("Headache and fever", "Neck stiffness"),
        histories=(
            "{He} developed the worst headache of {his} life with photophobia, fever to 103.4 and a stiff neck.",
            "Two days of ear pain, then headache, vomiting and confusion.",
        ),
        exam={
            "NECK": ("nuchal rigidity, Kernig positive", "stiff, Brudzinski sign present"),
            "NEURO": ("photophobic, no focal deficits",),
        },
        labs={"WBC": (15.0, 26.0), "Lactate": (2.2, 4.0)},
        study="CT head",
        images=("No mass or herniation.", "No contraindication to LP."),
        courses=(
            "LP: {bug}. Dexamethasone before antibiotics, droplet precautions at first, mental status normal by day four.",
            "CSF studies revealed {bug}. ID followed, therapy narrowed, hearing test normal.",
        ),
        drugs=("Acetaminophen 650 mg PO Q6H:PRN headache",),
        plain="an infection of the lining of your brain",
        diagnosis="acute {bug} meningitis",
        draft="{bug} meningitis, acute",
        slots={
            "bug": {
                "pneumococcal": ("2,400 WBC, S. pneumoniae on gram stain", "S. pneumoniae, protein 310, glucose 12"),
                "enteroviral": ("lymphocytes, enterovirus PCR positive", "180 lymphocytes, normal glucose, enterovirus by PCR"),
                "herpes simplex virus": ("HSV-2 PCR positive", "lymphocytic pleocytosis with HSV-2"),
            }
        },
        procedures=("LP",),
        given=("Dexamethasone and antimicrobials were given before the LP.",),
        vitals={"T": (101.8, 103.6), "HR": (98, 114)},
        lasting={"NECK": ("supple", "supple, no meningismus")},
        traits=("infection", "confusion"),
        variants={
            "pneumococcal": Variant(("CefTRIAXone 2 gm IV Q12H",)),
            "herpes simplex virus": Variant(("ValACYclovir 1000 mg PO Q8H",)),
        },
        suspected=True,
    ),
    Problem(
        rank=14,
        service="MEDICINE",
        names=("LOC", "Passing out", "Collapse"),
        complaints=("Syncope", "Loss of consciousness"),
        histories=(
            "{He} stood up from dinner, felt hot and gray, and next remembers lying on the floor. {cause}.",
            "Brief loss of consciousness, back to baseline within a minute. {cause}.",
        ),
        exam={"GENERAL": ("pleasant, forehead abrasion", "NAD, small scalp hematoma")},
        labs={"UreaN": (24, 38)},
        study="EKG",
        images=("NSR, no ischemia or prolonged QTc.", "Sinus, normal axis and intervals."),
        courses=(
            "Telemetry for 48 hours without events. {cause}. Echo normal, compression stockings advised.",
            "{cause}. No seizure activity, troponin negative times two, counseled on counterpressure maneuvers.",
        ),
        drugs=(),
        plain="fainting",
        diagnosis="recurrent {cause} syncope without arrhythmia",
        draft="{cause} syncope, recurrent",
        slots={
            "cause": {
                "orthostatic": ("SBP fell from 132 to 98 on standing", "Positive tilt signs, 30 point drop upright"),
                "vasovagal": ("Preceded by warmth and nausea at the sight of blood", "Typical prodrome during a blood draw"),
                "situational": ("Happened while coughing hard", "Occurred right after micturition at night"),
            }
        },
        given=("Orthostatics were measured, and telemetry was uneventful.", "{He} was given 500 cc of LR."),
        variants={"orthostatic": Variant(("Fludrocortisone Acetate 0.1 mg PO DAILY",))},
    ),
    Problem(
        rank=6,
        service="NEUROSURGERY",
        names=("Back pain, leg weakness", "Cord compression", "Spine infection"),
        complaints=("Back pain", "Leg weakness"),
        histories=(
            "{He} had three weeks of midline back pain with fevers and, since yesterday, numb and weak legs.",
            "Severe {place} pain, IV drug use, and new urinary retention.",
        ),
        exam={
            "NEURO": ("4-/5 hip flexors, saddle numbness", "legs 3/5, hyperreflexic, upgoing toes"),
            "BACK": ("midline {place} percussion tenderness",),
        },
        labs={"WBC": (12.5, 19.0), "CRP": (120, 280)},
        study="MRI spine",
        images=("{place} ventral collection displacing the cord.", "Enhancing phlegmon, {place}."),
        courses=(
            "MRI: {place} collection behind the vertebral body. Emergent laminectomy, pus sent, {bug}. Strength improving with PT.",
            "Decompressed at {place} overnight. Operative cultures: {bug}. Eight weeks of IV therapy, weekly labs to OPAT.",
        ),
        drugs=("Cyclobenzaprine 5 mg PO TID:PRN spasm",),
        plain="an infection near your spinal cord",
        diagnosis="{place} spinal epidural abscess with {bug}",
        draft="spinal epidural abscess, {place}, {bug}",
        slots={"bug": COCCI, "place": {"cervical": ("C5-C6",), "thoracic": ("T7-T8", "mid back"), "lumbar": ("L3-L4", "low back")}},
        procedures=("Laminectomy and drainage",),
        given=(
            "An emergent MRI was ordered, and spine surgery was called.",
            "Blood cultures were drawn, and a Foley was placed for retention.",
        ),
        vitals={"T": (100.6, 102.4), "HR": (92, 108)},
        lasting={
            "NEURO": ("hip flexors 4+/5, sensation intact",),
            "BACK": ("incision clean and dry", "midline incision without drainage"),
        },
        traits=("infection",),
        variants=COCCI_TREATED,
    ),
)
