"""Imaging and other studies by the key that a `Problem` names: how they are titled, and what they say beside a problem."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from pareft.data.synthetic.discharge.titles import Weighted


@dataclass(frozen=True)
class Study:
    """`titles` with their weights; `normals` are true of anybody; `unprompted`: weight among studies done without a problem."""

    titles: Weighted
    normals: tuple[str, ...]
    unprompted: int = 0

    @cached_property
    def cumulative(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The titles and their cumulative weights."""
        return tuple(title for title, _ in self.titles), tuple(accumulate(weight for _, weight in self.titles))


CHEST = (
    "The cardiomediastinal silhouette is within normal limits.",
    "No acute osseous abnormality.",
    "Hilar contours are unremarkable.",
    "No free air below the diaphragm.",
    "Degenerative changes of the thoracic spine are mild.",
    "The aorta is tortuous.",
    "Comparison is made to the prior study from ___.",
    "Bony structures are intact.",
    "Surgical clips project over the upper abdomen.",
    "There is eventration of the hemidiaphragm.",
    "Lines and tubes are in standard position where present.",
    "The central airways are patent.",
)
BELLY = (
    "The liver enhances homogeneously without focal lesion.",
    "Spleen and adrenals are normal in size and configuration.",
    "There is moderate calcium burden in the abdominal aorta.",
    "No retroperitoneal lymphadenopathy by size criteria.",
    "The urinary bladder and distal ureters are unremarkable.",
    "Simple renal cysts are noted bilaterally.",
    "No suspicious osseous lesion is identified.",
    "Small fat containing umbilical hernia.",
    "The lung bases show dependent changes only.",
    "The stomach and small bowel are normal in caliber where not described.",
    "A replaced hepatic artery is noted as an anatomic variant.",
    "Coronary calcification is partly seen.",
    "Injection granulomas are present in the gluteal soft tissues.",
)
BRAIN = (
    "Ventricles and sulci are prominent, compatible with age related involution.",
    "Periventricular white matter changes are nonspecific.",
    "The paranasal sinuses and mastoid air cells are clear.",
    "Basal cisterns are patent.",
    "The globes are unremarkable.",
    "No fracture is seen.",
    "Intracranial vascular calcifications are moderate.",
    "Major flow voids are preserved.",
    "The pituitary and craniocervical junction are normal.",
    "Lens replacements are noted.",
)
HEART = (
    "LV wall thickness is normal.",
    "The right ventricle has normal free wall motion.",
    "Mild tricuspid regurgitation is seen.",
    "The estimated PA systolic pressure is normal.",
    "The aortic root is normal in diameter.",
    "Technically suboptimal image quality.",
    "No ASD by color Doppler.",
    "The inferior vena cava is of normal caliber.",
    "The number of leaflets cannot be determined.",
    "There is an anterior fat pad.",
)
SCOPE = (
    "The procedure was performed with monitored anesthesia care.",
    "The scope was advanced under direct vision without difficulty.",
    "Retroflexion was performed.",
    "The patient tolerated the procedure well.",
    "There were no complications.",
    "Biopsies were obtained for histology.",
)
VESSELS = (
    "Normal compressibility and flow elsewhere.",
    "Respiratory variation is preserved in the contralateral vessels.",
    "The saphenous veins are patent.",
    "No Baker's cyst.",
)
BONES = (
    "Mild degenerative changes are present.",
    "Vascular calcifications.",
    "Alignment is otherwise maintained.",
    "No radiopaque foreign body.",
)
STUDIES: dict[str, Study] = {
    "CXR": Study((("CXR ___:", 70), ("CHEST (PA & LAT) ___:", 20), ("Chest X-ray:", 10)), CHEST, 30),
    "CTA": Study((("CTA CHEST ___:", 1),), CHEST),
    "CT chest": Study((("CT CHEST W/O CONTRAST ___:", 1),), CHEST, 4),
    "EKG": Study(
        (("EKG:", 45), ("ECG ___:", 40), ("EKG on Admission:", 15)),
        (
            "Compared to the previous tracing the rate is changed.",
            "Left axis deviation.",
            "Low limb lead voltage.",
            "Nonspecific lateral T wave changes.",
            "Poor R wave progression.",
        ),
        18,
    ),
    "TTE": Study((("TTE ___:", 80), ("ECHO:", 20)), HEART, 8),
    "Cath": Study(
        (("CARDIAC CATH ___:", 1),),
        ("Right dominant system.", "Radial access was used.", "The LMCA is free of disease.", "LVEDP was 18 mmHg."),
    ),
    "RUQ US": Study((("RUQ ULTRASOUND ___:", 1),), BELLY),
    "CT abdomen": Study(
        (
            ("CT ABD & PELVIS WITH CONTRAST ___:", 64),
            ("CT ABDOMEN/PELVIS ___:", 12),
            ("ABDOMINAL CT:", 12),
            ("CT ABDOMEN WITH IV CONTRAST:", 12),
        ),
        BELLY,
        8,
    ),
    "CT pelvis": Study(
        (("CT PELVIS WITH IV CONTRAST:", 1),),
        (
            "The rectum and {womb} are unremarkable.",
            "No free pelvic fluid.",
            "No inguinal lymphadenopathy.",
            "Scattered phleboliths.",
        ),
        3,
    ),
    "EGD": Study((("EGD ___:", 1),), SCOPE),
    "Colonoscopy": Study((("COLONOSCOPY ___:", 1),), SCOPE),
    "MRCP": Study((("MRCP ___:", 1),), BELLY),
    "Renal US": Study(
        (("RENAL U.S. ___:", 1),),
        (
            "The bladder is moderately well distended.",
            "Doppler flow is symmetric.",
            "A simple cyst is present in the interpolar region.",
        ),
    ),
    "CT head": Study((("CT HEAD W/O CONTRAST ___:", 66), ("Head CT:", 18), ("CT HEAD W/OUT:", 16)), BRAIN, 8),
    "bone windows": Study(
        (("BONE WINDOWS:", 1),),
        (
            "The calvarium is intact.",
            "No lytic or sclerotic focus.",
            "Mastoids are well pneumatized.",
            "The skull base is unremarkable.",
        ),
        3,
    ),
    "CT sinus": Study(
        (("CT SINUS/MAXILLOFACIAL ___:", 1),),
        (
            "The orbits are unremarkable.",
            "Mild mucosal thickening of the ethmoid cells.",
            "The nasal septum deviates slightly.",
            "No facial bone injury.",
        ),
        3,
    ),
    "CT neck": Study(
        (("CT SCAN C SPINE :", 1),),
        (
            "Vertebral body heights are preserved.",
            "Multilevel spondylosis, worst at C5-6.",
            "No prevertebral swelling.",
            "The airway is patent.",
        ),
        3,
    ),
    "swallow": Study(
        (("VIDEO OROPHARYNGEAL SWALLOW FINDINGS:", 1),),
        (
            "ORAL PHASE:\nBolus formation and control were adequate with mild residue.",
            "PHARYNGEAL PHASE:\nSwallow initiation was timely, epiglottic deflection complete, no penetration with puree.",
        ),
        4,
    ),
    "LENI": Study((("BILAT LOWER EXT VEINS ___:", 1),), VESSELS, 3),
    "Hip XR": Study((("HIP UNILAT MIN 2 VIEWS ___:", 1),), BONES),
    "MRI foot": Study((("MR FOOT ___:", 1),), BONES),
    "Joint XR": Study((("PLAIN FILM ___:", 1),), BONES),
    "MRI head": Study((("MR HEAD W & W/O CONTRAST ___:", 1),), BRAIN),
    "MRI spine": Study(
        (("MR SPINE ___:", 1),),
        ("Disc desiccation at several levels.", "The conus ends at L1.", "No listhesis.", "Facet arthropathy."),
    ),
}
UNPROMPTED = tuple(key for key, study in STUDIES.items() for _ in range(study.unprompted))
CULTURES: dict[str, tuple[str, ...]] = {  # with the words and traits that they contradict
    "___ 10:50 am BLOOD CULTURE\n\n   Blood Culture, Routine (Final ___:    NO GROWTH.": (
        *("bacteremia", "endocarditis", "bottle", "blood grew", "port infection"),
    ),
    "___ 2:17 pm URINE      Source: Catheter.\n\n   URINE CULTURE (Final ___:    NO GROWTH.": (
        *("urine grew", "culture with", "cystitis", "urinary"),
    ),
    "___ 6:35 pm MRSA SCREEN      Source: Nasal swab.\n\n   MRSA SCREEN (Final ___:    No MRSA isolated.": ("mrsa",),
    "___ 9:02 am STOOL     CONSISTENCY: NOT APPLICABLE\n\n   FECAL CULTURE (Final ___:    NO SALMONELLA OR SHIGELLA FOUND.": (),
    "___ 11:41 am URINE\n\n   URINE CULTURE (Final ___:\n"
    "      MIXED BACTERIAL FLORA ( >= 3 COLONY TYPES), CONSISTENT WITH SKIN\n      AND/OR GENITAL CONTAMINATION.": (
        *("urine grew", "culture with", "cystitis", "urinary"),
    ),
    "___ 4:20 am SPUTUM      Source: Expectorated.\n\n   GRAM STAIN (Final ___:\n"
    "      <10 PMNs and >10 epithelial cells/100X field.\n      QUALITY OF SPECIMEN CANNOT BE ASSESSED.": ("sputum",),
}
URINE = (
    "___ 05:24PM URINE Color-Straw Appear-Clear Sp ___",
    "___ 05:24PM URINE Blood-NEG Nitrite-NEG Protein-NEG Glucose-NEG Ketone-NEG \nBilirub-NEG Urobiln-NEG pH-6.0 Leuks-NEG",
    "___ 05:24PM URINE RBC-1 WBC-<1 Bacteri-NONE Yeast-NONE Epi-0",
)
