"""Head CT: titles, findings in many wordings, their normalised conclusions, and what is denied."""

from pareft.data.synthetic.findings import Exam, Finding

HEAD = Exam(
    titles=("CT HEAD W/O CONTRAST", "NON-CONTRAST HEAD CT"),
    techniques=("Contiguous axial images of the brain were obtained without contrast", "Routine unenhanced head CT"),
    complaints=("headache", "a fall", "slurred speech", "confusion", "weakness"),
    findings={
        "hemorrhage": Finding(
            urgency=0,
            wordings=(
                "Hyperdense crescentic collection along the {side} {place} convexity measures {count} mm in thickness",
                "There is a {count} mm acute extra-axial hematoma overlying the {side} {place} lobe",
                "Acute blood layers in the subdural space over the {side} {place} region, up to {count} mm",
            ),
            conclusion="acute {side} {place} subdural hematoma, {count} mm",
            denials=(
                "There is no intracranial hemorrhage",
                "No extra-axial collection is identified",
                "No evidence of acute bleeding",
            ),
            denied="no intracranial hemorrhage",
            questions=("eval for bleed", "r/o ich", "head strike on anticoagulation, ? hemorrhage"),
            places=("frontal", "parietal", "temporal"),
            counts=(3, 5, 7, 9, 12),
            trend=True,
        ),
        "shift": Finding(
            urgency=1,
            wordings=(
                "Midline structures are displaced to the {side} by {count} mm",
                "There is {count} mm of {side}ward shift of the septum pellucidum",
                "The midline deviates {count} mm toward the {side}",
            ),
            conclusion="{count} mm {side}ward midline shift",
            denials=(
                "There is no shift of normally midline structures",
                "No mass effect is seen",
                "The midline is preserved",
            ),
            denied="no mass effect",
            questions=("eval for mass effect",),
            counts=(2, 4, 6, 8, 10),
        ),
        "infarct": Finding(
            urgency=2,
            wordings=(
                "Loss of gray-white differentiation in the {side} {place} territory",
                "There is hypodensity involving the {side} {place} distribution, consistent with recent ischemia",
                "Sulcal effacement and low attenuation in the {side} {place} territory",
            ),
            conclusion="acute {side} {place} infarct",
            denials=(
                "Gray-white matter differentiation is preserved",
                "No large territorial infarction is seen",
                "There is no CT evidence of acute ischemia",
            ),
            denied="no acute infarct",
            questions=("eval for stroke", "? cva", "code stroke"),
            places=("mca", "pca", "aca"),
        ),
        "fracture": Finding(
            urgency=3,
            wordings=(
                "A nondisplaced lucency traverses the {side} {place} bone",
                "There is a linear break in the {side} {place} calvarium",
            ),
            conclusion="nondisplaced {side} {place} bone fracture",
            denials=("No calvarial fracture is seen", "The skull is intact"),
            denied="no fracture",
            questions=("assault, eval for fracture",),
            places=("frontal", "parietal", "temporal", "occipital"),
        ),
        "hydrocephalus": Finding(
            urgency=2,
            wordings=(
                "The ventricles are enlarged out of proportion to the sulci, {size} in degree",
                "There is {size} dilatation of the lateral and third ventricles",
            ),
            conclusion="{size} hydrocephalus",
            denials=("The ventricles are normal in size and configuration", "No ventriculomegaly"),
            denied="no hydrocephalus",
            questions=("? hydrocephalus", "shunt malfunction"),
            sizes=("mild", "moderate", "severe"),
            trend=True,
        ),
        "sinusitis": Finding(
            urgency=6,
            wordings=(
                "Aerosolized secretions and an air-fluid level fill the {side} {place} sinus",
                "The {side} {place} sinus is opacified with frothy material",
            ),
            conclusion="acute {side} {place} sinusitis",
            places=("maxillary", "sphenoid", "frontal"),
        ),
    },
    incidental=(
        "Periventricular white matter hypodensities are likely sequela of small vessel disease",
        "Global volume loss is age appropriate",
        "Vascular calcifications are noted in the carotid siphons",
        "The mastoid air cells are clear",
        "Patient is status post bilateral lens replacement",
    ),
    normal="no acute intracranial abnormality",
    circumstances=(
        "The patient takes warfarin and was found by a family member on the floor",
        "Last seen at baseline four hours before arrival to the emergency department",
        "There was brief loss of consciousness followed by several episodes of vomiting",
        "History of hypertension, prior transient episodes, and remote head trauma",
        "Examination is limited by intoxication, and a focal deficit cannot be excluded",
        "Transferred from an outside facility where no imaging was performed",
    ),
    protocols=(
        "Axial images were reformatted in the coronal and sagittal planes at two millimeter intervals",
        "Bone and soft tissue algorithm reconstructions were reviewed, with three dimensional images on request",
        "Total exam dose length product was within the institutional reference range for this protocol",
        "The study is mildly degraded by patient motion, and several slices were repeated",
        "Images were acquired from the skull base to the vertex without administration of intravenous contrast",
    ),
    surroundings=(
        "The basal cisterns are patent and the foramen magnum is not crowded",
        "The globes and retrobulbar fat are within normal limits on both sides",
        "Soft tissues of the scalp show mild swelling near the vertex without a foreign body",
        "The pituitary fossa and the craniocervical junction are unremarkable",
        "Prominence of the ventricles and sulci is in keeping with involutional change",
        "The middle ear cavities are well aerated, and the ossicles appear intact",
        "Streak artifact from dental hardware limits evaluation of the posterior fossa",
        "Visualized portions of the upper cervical spine show degenerative change at the atlantodental joint",
        "A small arachnoid cyst of the posterior fossa is a stable and benign variant",
        "The dural venous sinuses are of expected density on these unenhanced images",
    ),
)
