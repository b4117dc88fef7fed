"""Problems of the lungs."""

from pareft.data.synthetic.discharge.problems import LOBES, SIDES, Problem

LUNGS = (
    Problem(
        rank=5,
        service="MEDICINE",
        names=("PNA", "Pulmonary infiltrate", "LRTI"),
        complaints=("Cough", "Fever and cough", "Productive cough"),
        histories=(
            "{He} reports four days of a cough productive of rusty sputum, rigors and pain with deep breaths. {kind}.",
            "{kind}. Since then fevers to 102, green sputum and decreased appetite.",
            "Family noted that {he} was coughing, weak and febrile. {kind}.",
        ),
        exam={"LUNGS": ("crackles at the {place}, egophony", "bronchial breath sounds and rhonchi over the {place}")},
        labs={"WBC": (13.0, 22.0), "Lactate": (2.1, 3.4)},
        study="CXR",
        images=("Focal opacity in the {place} concerning for infection.", "New {place} consolidation with air bronchograms."),
        courses=(
            "Febrile with leukocytosis and an opacity in the {place}. {kind}. Narrowed from broad coverage to complete a seven "
            "day course.",
            "{kind}. CXR had a {place} consolidation, urine Legionella negative. Weaned to room air on antibiotics.",
            "Sputum grew only oral flora. {kind}. Improved quickly on empiric therapy for the {place} process.",
        ),
        drugs=("Levofloxacin 750 mg PO DAILY", "GuaiFENesin 10 mL PO Q6H:PRN cough"),
        plain="an infection of your lung",
        diagnosis="{kind} pneumonia of the {place}",
        draft="{place} pneumonia, {kind}",
        slots={
            "place": LOBES,
            "kind": {
                "community acquired": ("No hospital contact in the past year", "Lives at home, no recent health care exposure"),
                "hospital acquired": (
                    "Discharged from another hospital last week after ten days",
                    "Developed symptoms five days into a prior hospital stay",
                ),
                "aspiration": (
                    "Choked on food two days before",
                    "SLP found dysphagia to thin liquids after a witnessed choking event",
                ),
            },
        },
        given=("{He} received a first dose of IV antibiotics and 2 L of oxygen.", "Antibiotics were started after cultures."),
        vitals={"T": (100.8, 102.6), "HR": (96, 112), "RR": (21, 26), "SpO2": (88, 92)},
        lasting={"LUNGS": ("few remaining crackles at the {place}, breathing comfortably",)},
        traits=("infection",),
        companion=True,
        suspected=True,
    ),
    Problem(
        rank=9,
        service="MEDICINE",
        names=("COPD flare", "Wheezing", "COPD"),
        complaints=("Shortness of breath", "Wheezing"),
        histories=(
            "{He} has smoked for forty years and since a cold last week has been wheezing, using the rescue inhaler every two "
            "hours.",
            "Increasing sputum volume and breathlessness at rest, unresponsive to nebulizers at home. {He} has a 50 pack year "
            "history.",
            "GOLD stage III, on 2 L at home, now requiring 4 L after exposure to a grandchild with a cold.",
        ),
        exam={"LUNGS": ("diffuse expiratory wheezes, prolonged expiratory phase", "poor air movement, scattered wheeze")},
        labs={"HCO3": (29, 36), "pCO2": (52, 70)},
        study="CXR",
        images=("Hyperinflated lungs with flattened diaphragms, no focal process.", "Emphysematous changes without consolidation."),
        courses=(
            "Likely triggered by {kind}. Treated with standing duonebs, prednisone 40 mg for five days and azithromycin; "
            "ambulatory saturation 92%.",
            "Viral panel and history pointed to {kind} as the trigger. Steroid burst and bronchodilators with return to {his} "
            "chronic oxygen requirement.",
            "Emphysema with increased work of breathing in the setting of {kind}. Briefly on BiPAP overnight, then nebulizers and "
            "a prednisone taper.",
        ),
        drugs=("PredniSONE 40 mg PO DAILY", "Azithromycin 250 mg PO DAILY", "Tiotropium Bromide 1 CAP IH DAILY"),
        plain="a flare of your chronic lung disease",
        diagnosis="acute exacerbation of chronic obstructive pulmonary disease due to {kind}",
        draft="chronic obstructive pulmonary disease with acute exacerbation, {kind}",
        slots={
            "kind": {
                "rhinovirus": ("a positive rhinovirus PCR", "rhinovirus on the respiratory panel"),
                "influenza": ("a positive flu swab", "flu A"),
                "medication nonadherence": ("not taking the inhalers for a month", "having stopped tiotropium because of its cost"),
            }
        },
        given=("{He} received nebulizers and IV methylprednisolone 125 mg.", "Stacked duonebs and IV steroids were given."),
        vitals={"RR": (22, 28), "SpO2": (86, 90)},
        after={"HCO3": (28, 32)},
        lasting={"LUNGS": ("distant breath sounds, no wheeze", "prolonged expiratory phase, moving air well")},
        companion=True,
    ),
    Problem(
        rank=1,
        service="MEDICINE",
        names=("PE", "VTE", "Pulmonary emboli"),
        complaints=("Pleuritic chest pain", "Sudden dyspnea", "Hemoptysis"),
        histories=(
            "{He} returned from a long flight and suddenly had pleuritic pain with breathlessness and one episode of hemoptysis. "
            "{kind}.",
            "Abrupt onset of shortness of breath this morning, oxygen saturation 86% when EMS arrived. {kind}.",
        ),
        exam={"LUNGS": ("tachypneic, clear to auscultation", "splinting, no wheezes or rales")},
        labs={"D-Dimer": (2100, 9000), "cTropnT": (0.03, 0.11)},
        study="CTA",
        images=("Filling defects in {place} branches without right heart strain.", "Intraluminal thrombus, {place}."),
        courses=(
            "CTA with clot in {place} branches. {kind}. Hemodynamically stable on heparin, transitioned to rivaroxaban.",
            "{kind}. Clot burden in {place} arteries, RV normal on echo. Started a DOAC with a plan for at least three months.",
            "Heparin gtt started in the ED for {place} thrombus; LENIs negative. {kind}.",
        ),
        drugs=("Rivaroxaban 15 mg PO BID", "Oxycodone 5 mg PO Q6H:PRN pain"),
        plain="a blood clot in your lung",
        diagnosis="{kind} acute {place} pulmonary embolism",
        draft="acute pulmonary embolism, {kind}, {place}",
        slots={
            "kind": {
                "provoked": ("Immobile with a cast for the past month", "Had knee surgery three weeks before"),
                "unprovoked": ("No surgery, travel, hormones or cancer", "No risk factor could be identified"),
            },
            "place": {
                "left lobar": ("LUL and LLL", "LLL proximal"),
                "right lobar": ("RUL and RLL", "RLL proximal"),
                "bilateral segmental": ("R and L peripheral", "both lower and the RUL peripheral"),
            },
        },
        given=("A heparin bolus and drip were started.",),
        vitals={"HR": (104, 122), "RR": (22, 28), "SpO2": (86, 91)},
        traits=("anticoagulated",),
        suspected=True,
    ),
    Problem(
        rank=2,
        service="MEDICINE",
        names=("Respiratory distress", "Hypoxemia/hypercarbia", "ARF, pulmonary"),
        complaints=("Respiratory distress", "Altered mental status and hypoxia"),
        histories=(
            "{He} was found tachypneic and cyanotic at home by the VNA, who called EMS; placed on a nonrebreather en route.",
            "In triage {he} was speaking in two word sentences with accessory muscle use.",
        ),
        exam={
            "GENERAL": ("in distress, speaks in short phrases",),
            "LUNGS": ("labored, accessory muscle use, diminished bilaterally", "coarse throughout, tachypneic"),
        },
        labs={"Lactate": (2.2, 4.1), "pO2": (48, 60)},
        study="CXR",
        images=("Low lung volumes with bibasilar haziness.", "Increased interstitial markings, no lobar process."),
        courses=(
            "Multifactorial. First gas: {kind}. Required {device} in the MICU for two days, then weaned quickly and called out to "
            "the floor.",
            "ABG on arrival had {kind}. Supported with {device}, diuresed gently, and back on room air by the time of transfer.",
        ),
        drugs=("Albuterol Inhaler 2 PUFF IH Q4H:PRN wheeze", "Ipratropium-Albuterol Neb 1 NEB NEB Q6H"),
        plain="trouble breathing that needed intensive care",
        diagnosis="acute {kind} respiratory failure requiring {device}",
        draft="{kind} respiratory failure, acute, on {device}",
        slots={
            "kind": {
                "hypoxemic": ("PaO2 52 with a normal PaCO2", "7.44/36/50 on 6 L"),
                "hypercapnic": ("PaCO2 of 84 with pH 7.21", "7.19/88/70"),
            },
            "device": {
                "mechanical ventilation": ("ETT and volume control", "intubation, AC 450x16"),
                "noninvasive ventilation": ("BiPAP 12/5", "a BiPAP mask"),
                "high flow oxygen": ("HFNC at 40 L", "HFNC"),
            },
        },
        given=("{He} received nebulizers and was placed on oxygen.", "Respiratory therapy was called to the bedside at once."),
        vitals={"HR": (106, 122), "RR": (32, 35), "SpO2": (78, 86)},
        traits=("confusion",),
    ),
    Problem(
        rank=10,
        service="MEDICINE",
        names=("Pleural fluid", "Hydrothorax", "Pleural process"),
        complaints=("Dyspnea", "Chest heaviness"),
        histories=(
            "{He} had weeks of a dry cough and a feeling of heaviness on the {side} side of the chest.",
            "Worsening breathlessness when lying on the {side}, and an outside film showed a whiteout of the lower half.",
        ),
        exam={"LUNGS": ("dullness to percussion and absent breath sounds at the {side} base", "decreased {side} sided fremitus")},
        labs={"LD(LDH)": (280, 600), "Albumin": (2.4, 3.1)},
        study="CXR",
        images=(
            "Meniscus and opacified lower half of the {side} hemithorax.",
            "Layering fluid, {side}, with adjacent compression.",
        ),
        courses=(
            "IP performed a {side} thoracentesis with 1.4 L removed. {kind}. Repeat film with reexpansion.",
            "{kind}. A {side} pigtail drained for three days and was removed once output was below 150 cc.",
        ),
        drugs=("Acetaminophen 650 mg PO Q6H:PRN pain", "Benzonatate 100 mg PO TID:PRN cough"),
        plain="fluid around your lung",
        diagnosis="{kind} {side} pleural effusion",
        draft="pleural effusion, {side}, {kind}",
        slots={
            "side": SIDES,
            "kind": {
                "malignant": ("Cytology positive for adenocarcinoma", "Cytology had adenocarcinoma cells"),
                "parapneumonic": (
                    "Exudate with neutrophils, pH 7.31, next to a resolving infiltrate",
                    "Neutrophilic exudate, cultures sterile, following pneumonia",
                ),
                "transudative": ("Low protein and LDH by Light's criteria", "Protein ratio 0.3, consistent with a transudate"),
            },
        },
        procedures=("Thoracentesis", "Pigtail catheter placement"),
        vitals={"RR": (20, 24), "SpO2": (90, 93)},
        after={"Albumin": (2.6, 3.2)},
        companion=True,
    ),
    Problem(
        rank=4,
        service="SURGERY",
        names=("PTX", "Collapsed lung", "Air leak"),
        complaints=("Sudden chest pain", "Chest wall pain"),
        histories=(
            "{kind}. {He} then had sharp {side} sided chest pain and could not catch {his} breath.",
            "{kind}, with {side} chest discomfort ever since.",
        ),
        exam={"LUNGS": ("hyperresonant and absent over the {side}", "decreased at the {side}, subcutaneous crepitus")},
        labs={"WBC": (11.2, 13.0)},
        study="CXR",
        images=("Visceral edge visible 3 cm from the {side} apex.", "Interval {side} chest tube, lung now expanded."),
        courses=(
            "{kind}. A {side} sided pigtail was placed to suction with reexpansion; no leak on day three and the tube was pulled.",
            "Thoracic placed a 28 Fr chest tube on the {side}. {kind}. Water seal trial passed, film after removal without "
            "reaccumulation.",
        ),
        drugs=("Oxycodone 5 mg PO Q4H:PRN pain", "Ibuprofen 400 mg PO Q8H:PRN pain"),
        plain="a collapsed lung",
        diagnosis="{kind} pneumothorax, {side} lung, status post tube thoracostomy",
        draft="{side} pneumothorax, {kind}, for tube thoracostomy",
        slots={
            "side": SIDES,
            "kind": {
                "primary spontaneous": (
                    "Tall, thin, and without known lung disease or injury",
                    "No trauma and no underlying lung disease",
                ),
                "traumatic": ("Fell from a ladder onto the chest", "Struck by a car while cycling"),
                "iatrogenic": ("Occurred during placement of a subclavian line", "Follows a CT guided needle biopsy"),
            },
        },
        procedures=("Chest tube placement",),
        given=("{He} was given IV morphine 4 mg, and surgery was called.", "Oxygen by mask and IV fentanyl were given."),
        vitals={"HR": (96, 112), "RR": (21, 26), "SpO2": (89, 93)},
        lasting={"LUNGS": ("clear on both sides, former tube site dressed", "equal breath sounds, dressing dry")},
        traits=("nephrotoxic",),
    ),
)
