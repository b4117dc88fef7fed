"""Problems of limbs, skin and the blood stream."""

from pareft.data.synthetic.discharge.problems import BUGS, COCCI, SIDES, Problem

LIMBS = (
    Problem(
        rank=0,
        service="MEDICINE",
        names=("Hypotension, fever", "GNR in blood", "Shock"),
        complaints=("Fever and hypotension", "Lethargy"),
        histories=(
            "Sent from the nursing home with lethargy, a blood pressure of 74/40 and a fever of 103.",
            "{He} collapsed at home after a day of shaking chills; EMS gave 1 L for SBP in the 70s.",
        ),
        exam={"GENERAL": ("ill appearing, diaphoretic", "toxic, mottled"), "EXT": ("cool, delayed capillary refill",)},
        labs={"Lactate": (4.1, 8.2), "WBC": (17.0, 31.0), "Creat": (1.6, 2.6)},
        study="CXR",
        images=("No focal consolidation. R IJ in place.", "Clear lungs, central line tip in the SVC."),
        courses=(
            "MAP below 60 after 30 cc/kg, norepinephrine for 36 hours in the MICU. Bottles: {bug}. {source}. Lactate cleared.",
            "{source}. Blood grew {bug}. Weaned off pressors by day two, line removed, 14 days in total.",
        ),
        drugs=("CefePIME 2 g IV Q12H", "Midodrine 5 mg PO TID"),
        plain="an infection of your blood stream with very low blood pressure",
        diagnosis="septic shock from {bug} bacteremia, {source} source",
        draft="{bug} bacteremia, septic shock, source {source}",
        slots={
            "bug": BUGS,
            "source": {
                "urinary": ("Foley catheter changed, same organism on UA culture", "UA with over 182 WBC, same organism"),
                "abdominal": ("CT with a collection near the cecum, drained", "Drain placed into a liver collection"),
            },
        },
        procedures=("Central venous line placement",),
    ),
    Problem(
        rank=10,
        service="MEDICINE",
        names=("SSTI", "Leg redness", "Skin infection"),
        complaints=("Leg pain and redness", "Leg swelling"),
        histories=(
            "{He} scratched {his} {place} while gardening and noticed spreading redness, warmth and pain.",
            "Failed a course of outpatient cephalexin for redness of the {place}, with fever since yesterday.",
        ),
        exam={"SKIN": ("warm tender erythema of the {place}, borders marked", "{place} with blanching erythema and induration")},
        labs={"WBC": (11.5, 17.0), "CRP": (50, 150)},
        study="LENI",
        images=("No DVT.", "Subcutaneous edema only."),
        courses=(
            "Erythema of the {place}, receding from the marked lines on {bug}. No crepitus or drainable fluid.",
            "IV therapy for the {place}; {bug}. Transitioned to oral once erythema was half its size.",
        ),
        drugs=("Clindamycin 300 mg PO Q6H", "Bacitracin Ointment 1 Appl TP BID"),
        plain="an infection of your skin",
        diagnosis="{bug} cellulitis of the {place}",
        draft="{place} cellulitis, {bug}",
        slots={
            "place": {
                "left lower extremity": ("LLE", "L calf", "left shin"),
                "right lower extremity": ("RLE", "R calf", "right shin"),
                "left upper extremity": ("LUE", "L forearm"),
                "right upper extremity": ("RUE", "R forearm"),
            },
            "bug": {
                "nonpurulent": ("cefazolin alone, as there was no pus", "cefazolin (no pus, MRSA swab negative)"),
                "purulent": ("vancomycin, since a pustule drained", "vancomycin for a small pocket of pus"),
            },
        },
    ),
    Problem(
        rank=6,
        service="MEDICINE",
        names=("DVT", "Clot", "VTE of the extremity"),
        complaints=("Leg swelling", "Calf pain"),
        histories=(
            "{He} noticed {side} calf tightness and asymmetric swelling three days after a long drive. {kind}.",
            "{kind}. Worsening {side} leg swelling over the past week.",
        ),
        exam={"EXT": ("{side} calf 4 cm larger, tender cord", "{side} leg swollen and tender to palpation")},
        labs={"D-Dimer": (1500, 6000)},
        study="LENI",
        images=("Noncompressible {place} of the {side} leg.", "Echogenic clot within the {side} {place}."),
        courses=(
            "Duplex: occlusive clot, {side} {place}. {kind}. Enoxaparin teaching done, DOAC prescribed for three months.",
            "{kind}. {side} {place} noncompressible. No symptoms of PE. Heparin to apixaban without bleeding.",
        ),
        drugs=("Apixaban 10 mg PO BID", "Enoxaparin Sodium 80 mg SC Q12H"),
        plain="a blood clot in your leg",
        diagnosis="{kind} deep vein thrombosis, {side} {place} vein",
        draft="deep vein thrombosis, {kind}, {side} {place}",
        slots={
            "side": SIDES,
            "place": {"common femoral": ("CFV", "proximal thigh vessel"), "popliteal": ("pop V", "vessel behind the knee")},
            "kind": {
                "provoked": ("Bedbound after an operation last month", "Recently had the leg in a cast"),
                "cancer associated": ("Has metastatic colon cancer", "Known pancreatic adenocarcinoma"),
                "unprovoked": ("No trigger was identified", "No immobility, surgery or cancer"),
            },
        },
    ),
    Problem(
        rank=3,
        service="ORTHOPAEDICS",
        names=("Hip fx", "Mechanical fall", "Ortho"),
        complaints=("Hip pain after fall", "Fall"),
        histories=(
            "{He} tripped over a rug, landed on the {side} side and could not bear weight.",
            "Mechanical fall from standing, no LOC or head strike, with immediate {side} groin pain.",
        ),
        exam={"EXT": ("{side} leg shortened and externally rotated", "{side} leg with pain on log roll, distal pulses intact")},
        labs={"Hgb": (8.4, 10.2)},
        study="Hip XR",
        images=("{side}: {place}.", "{place}, displaced, {side}."),
        courses=(
            "Films: {place} on the {side}. Cleared by medicine and taken to the OR for {repair}. WBAT, worked with PT.",
            "{repair} on hospital day two for the {side} injury ({place}). Pain controlled, Lovenox for four weeks.",
        ),
        drugs=(
            "Enoxaparin Sodium 40 mg SC DAILY",
            "OxyCODONE (Immediate Release) 2.5 mg PO Q4H:PRN pain",
            "Calcium Carbonate 500 mg PO TID",
        ),
        plain="a broken hip, which was repaired",
        diagnosis="{side} {place} hip fracture status post {repair}",
        draft="hip fracture, {side} {place}, for {repair}",
        slots={
            "side": SIDES,
            "place": {
                "intertrochanteric": ("comminuted IT break", "break between the trochanters"),
                "femoral neck": ("subcapital break", "Garden IV break"),
            },
            "repair": {
                "intramedullary nailing": ("a long TFN", "short cephalomedullary rod"),
                "hemiarthroplasty": ("a cemented bipolar hemi", "bipolar hemi"),
            },
        },
        procedures=("Operative repair of the hip",),
    ),
    Problem(
        rank=7,
        service="PODIATRY",
        names=("DFU", "Foot wound", "Nonhealing foot ulcer"),
        complaints=("Foot ulcer", "Foot drainage"),
        histories=(
            "{He} has had a draining wound under the {side} {place} for six weeks, now malodorous with chills.",
            "Neuropathic ulcer of the {side} {place} that no longer improves with wound care.",
        ),
        exam={"EXT": ("{side} {place} plantar ulcer probing to bone", "2 cm ulcer, {side} {place}, purulent, pulses dopplerable")},
        labs={"CRP": (70, 210), "Glucose": (190, 340)},
        study="MRI foot",
        images=("Marrow edema, {side} {place}.", "Cortical loss with marrow signal change, {side} {place}."),
        courses=(
            "Probed to bone. Debrided at the {side} {place}; tissue grew {bug}. Six weeks of IV therapy by PICC per ID.",
            "MRI of the {side} {place} positive. Operative specimen: {bug}. Wound vac, offloading shoe, vascular studies adequate.",
        ),
        drugs=("CeFAZolin 2 g IV Q8H", "Gabapentin 300 mg PO TID"),
        plain="an infection of the bone of your foot",
        diagnosis="{bug} osteomyelitis, {side} {place}",
        draft="{side} {place} osteomyelitis, {bug}",
        slots={
            "side": SIDES,
            "bug": COCCI,
            "place": {
                "calcaneus": ("heel", "hindfoot"),
                "first metatarsal": ("1st MTH", "ball of the foot"),
                "fifth metatarsal": ("5th MTH", "lateral forefoot"),
            },
        },
        procedures=("Debridement of foot ulcer with bone biopsy",),
    ),
    Problem(
        rank=15,
        service="MEDICINE",
        names=("Joint pain", "Monoarthritis", "Podagra"),
        complaints=("Knee pain", "Joint swelling"),
        histories=(
            "Overnight {his} {place} became red, hot and exquisitely painful to the weight of a sheet.",
            "Diuretics were increased recently; now the {place} is swollen and {he} cannot walk.",
        ),
        exam={"EXT": ("{place} with effusion, warmth and limited range of motion", "exquisitely tender, swollen {place}")},
        labs={"Uric Acid": (8.8, 12.0), "CRP": (30, 110)},
        study="Joint XR",
        images=("Soft tissue swelling of the {place}.", "{place} effusion, chondrocalcinosis absent."),
        courses=(
            "Tap of the {place}: needle shaped negatively birefringent crystals, culture sterile. Prednisone taper.",
            "Fluid from the {place} had 22,000 WBC, crystals seen, gram stain negative. Colchicine with fast relief.",
        ),
        drugs=("Colchicine 0.6 mg PO DAILY", "Allopurinol 100 mg PO DAILY"),
        plain="a painful joint caused by crystals",
        diagnosis="acute gouty arthritis of the {place}",
        draft="gouty arthritis, acute, {place}",
        slots={
            "place": {
                "left knee": ("L knee", "left patellofemoral joint"),
                "right knee": ("R knee", "right patellofemoral joint"),
                "left ankle": ("L ankle", "left tibiotalar joint"),
                "right wrist": ("R wrist", "right radiocarpal joint"),
            }
        },
        procedures=("Arthrocentesis",),
    ),
)
