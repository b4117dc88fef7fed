"""The titles of a discharge note's sections, each with its weight: the usual ones mostly, and every one that the builders know."""

from itertools import accumulate

Weighted = tuple[tuple[str, int], ...]

TITLES: dict[str, Weighted] = {
    "complaint": (("Chief Complaint:", 95), ("CHIEF COMPLAINT:", 5)),
    "procedure": (("Major Surgical or Invasive Procedure:", 1),),
    "present": (("History of Present Illness:", 90), ("HISTORY OF PRESENT ILLNESS:", 6), ("History of the Present Illness:", 4)),
    "systems": (("Review of Systems:", 70), ("REVIEW OF SYSTEMS:", 30)),
    "assessment": (("Assessment:", 40), ("ASSESSMENT AND PLAN:", 60)),
    "past": (("Past Medical History:", 85), ("PAST MEDICAL HISTORY:", 15)),
    "operations": (("Past Surgical History:", 40), ("PAST SURGICAL HISTORY:", 60)),
    "social": (("Social History:", 1),),
    "family": (("Family History:", 1),),
    "exam": (
        ("Physical Exam:\nADMISSION PHYSICAL EXAM:\n========================", 46),
        ("Physical Exam:", 24),
        ("ADMISSION PHYSICAL EXAM:", 12),
        ("Physical Exam at Time of Admission:", 4),
        ("Physical Examination:", 5),
        ("PHYSICAL EXAMINATION ON ADMISSION:", 5),
        ("Physical Examination on Presentation:", 4),
    ),
    "exam after": (
        ("DISCHARGE PHYSICAL EXAM:\n========================", 75),
        ("Discharge Exam:", 13),
        ("Post Surgical Physical Exam:", 12),
    ),
    "labs": (
        ("Pertinent Results:\nADMISSION LABS:\n===============", 58),
        ("Pertinent Results:", 17),
        ("Pertinent Results:\nLaboratory Studies:", 4),
        ("LABORATORY DATA:", 4),
        ("LABORATORY DATA UPON ADMISSION:", 4),
        ("Initial Laboratories:", 4),
        ("Laboratories on Admission:", 3),
        ("LABORATORY/RADIOLOGIC DATA:", 3),
        ("Pertinent Laboratory Values on Presentation:", 3),
    ),
    "labs after": (("DISCHARGE LABS:\n===============", 88), ("Labs at Discharge:", 12)),
    "imaging": (
        ("IMAGING:\n========", 50),
        ("STUDIES:\n========", 25),
        ("Radiology/Imaging:", 8),
        ("IMAGING ON ADMISSION:", 6),
        ("Radiologic Studies:", 6),
        ("RADIOLOGIC EXAMINATION ON ADMISSION:", 5),
    ),
    "course": (("Brief Hospital Course:", 86), ("HOSPITAL COURSE:", 8), ("Hospital Course by System:", 6)),
    "consult": (("MEDICINE CONSULT:", 1),),
    "home drugs": (
        ("Medications on Admission:", 78),
        ("Medications Prior to Admission:", 6),
        ("ADMISSION MEDICATIONS:", 6),
        ("MEDICATIONS AT HOME:", 5),
        ("Medications:", 5),
    ),
    "drugs": (("Discharge Medications:", 88), ("Medications on Discharge:", 8), ("UPDATED LIST OF MEDICATIONS:", 4)),
    "disposition": (("Discharge Disposition:", 94), ("Disposition:", 6)),
    "diagnosis": (("Discharge Diagnosis:", 84), ("Discharge Diagnoses:", 6), ("DISCHARGE DIAGNOSES:", 5), ("FINAL DIAGNOSES:", 5)),
    "condition": (("Discharge Condition:", 92), ("CONDITION AT DISCHARGE:", 4), ("Discharge Status:", 4)),
    "instructions": (("Discharge Instructions:", 94), ("Discharge Instructions/Followup:", 6)),
    "followup": (("Followup Instructions:", 88), ("Follow-up Instructions:", 12)),
    "end": (("NOTE:", 1), ("ADDENDUM:", 1)),
}
CUMULATIVE = {kind: (tuple(t for t, _ in titles), tuple(accumulate(w for _, w in titles))) for kind, titles in TITLES.items()}
