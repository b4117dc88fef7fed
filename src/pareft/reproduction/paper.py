"""The figures of arXiv 2305.08285, Tables 3 to 6, as data: what a reproduction is laid beside.

They are copied as printed; what cannot be right in them is in docs/reproduction.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """An arm of a recipe in `assets/paper`: training speed in percent of full fine-tuning, trained parameters in millions, memory
    in gigabytes (10^9), and the table's scores.
    """

    recipe: str
    arm: str
    speed_percent: int
    trained_millions: float
    memory_gigabytes: float
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Table:
    """A table: what it is about, the names of its scores, and its rows in the paper's order."""

    about: str
    scores: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def recipes(self) -> list[str]:
        """The recipes it needs, in its order."""
        return list(dict.fromkeys(row.recipe for row in self.rows))

    def arms_of(self, recipe: str) -> list[str]:
        """The arms of a recipe that it shows."""
        return [row.arm for row in self.rows if row.recipe == recipe]


SCORES = {  # by the paper's name: how pareft calls the same score
    "R-1": "rouge1",
    "R-2": "rouge2",
    "R-L": "rougeLsum",  # its R-L is of sentences: the release prints rougeLsum
    "BERTScore": "bertscore_f1",
    "SummaC": "summac_zs",
    "BLEU-1": "bleu_precision1",  # its BLEU-N is the N-gram precision alone
    "BLEU-4": "bleu_precision4",
}
EXAMPLES = {"discharge": 254_000, "radiology": 1_200_000, "healthcaremagic": 165_000, "icliniq": 12_000}  # to train on: Table 1
NOT_REPRODUCIBLE = {("table3", "lora-qv+l-prun"): "nothing in the release gives 1.2 M; it trains 1.6 M"}


TABLES: dict[str, Table] = {
    "table3": Table(
        about="LoRA on query and value or on the feed-forward layers, MIMIC-IV discharge notes",
        scores=("R-1", "R-2"),
        rows=(
            Row("discharge-bart", "full", 100, 406.2, 34.56, (43.46, 25.05)),
            Row("discharge-bart", "l-prun", 145, 288.7, 23.65, (42.93, 24.72)),
            Row("discharge-bart", "lora-qv", 115, 2.4, 28.15, (40.32, 22.66)),
            Row("discharge-bart", "lora-qv+l-prun", 170, 1.2, 19.13, (37.84, 20.94)),
            Row("discharge-bart", "lora", 125, 4.0, 27.25, (41.6, 23.77)),
            Row("discharge-bart", "lora+l-prun", 179, 2.7, 17.99, (39.96, 22.79)),
        ),
    ),
    "table4a": Table(
        about="MIMIC-IV discharge notes",
        scores=("R-1", "R-2", "R-L", "BERTScore", "SummaC"),
        rows=(
            Row("discharge-bart", "full", 100, 406.2, 34.56, (43.46, 25.05, 43.03, 87.13, 56.45)),
            Row("discharge-bart", "l-prun", 145, 288.7, 23.65, (42.93, 24.72, 42.48, 87.09, 56.7)),
            Row("discharge-bart", "lora", 125, 4.0, 27.25, (41.6, 23.77, 41.2, 86.85, 56.25)),
            Row("discharge-bart", "lora+l-prun", 179, 2.7, 17.99, (39.96, 22.79, 39.54, 86.44, 56.65)),
            Row("discharge-t5", "full", 100, 737.6, 42.49, (41.22, 24.09, 38.82, 85.8, 55.24)),
            Row("discharge-t5", "l-prun", 169, 443.9, 25.12, (40.7, 23.94, 38.46, 85.71, 55.86)),
            Row("discharge-t5", "lora", 115, 8.1, 31.15, (38.75, 22.34, 36.79, 85.26, 57.97)),
            Row("discharge-t5", "lora+l-prun", 197, 4.7, 17.97, (37.86, 21.79, 35.99, 85.03, 56.28)),
        ),
    ),
    "table4b": Table(
        about="MIMIC-IV radiology reports",
        scores=("R-1", "R-2", "R-L", "BERTScore", "SummaC"),
        rows=(
            Row("radiology-bart", "full", 100, 406.2, 27.01, (58.35, 41.08, 57.06, 91.62, 38.83)),
            Row("radiology-bart", "l-prun", 142, 288.7, 18.55, (58.34, 41.09, 57.05, 91.63, 39.04)),
            Row("radiology-bart", "lora", 136, 4.0, 20.24, (55.2, 37.4, 53.91, 91.06, 40.75)),
            Row("radiology-bart", "lora+l-prun", 202, 2.7, 13.43, (54.02, 36.36, 52.79, 90.89, 40.88)),
            Row("radiology-t5", "full", 100, 737.6, 30.98, (57.19, 40.05, 55.0, 89.56, 42.88)),
            Row("radiology-t5", "l-prun", 162, 443.9, 18.46, (56.53, 39.34, 54.36, 89.48, 42.73)),
            Row("radiology-t5", "lora", 153, 8.1, 19.87, (53.37, 35.39, 51.12, 88.99, 44.29)),
            Row("radiology-t5", "lora+l-prun", 206, 4.7, 11.66, (52.22, 34.36, 50.03, 88.9, 44.33)),
        ),
    ),
    "table5a": Table(
        about="HealthCareMagic",
        scores=("R-1", "R-2", "R-L", "BLEU-1", "BLEU-4"),
        rows=(
            Row("healthcaremagic-bart", "full", 100, 406.2, 15.09, (27.43, 7.16, 25.3, 27.57, 3.03)),
            Row("healthcaremagic-bart", "l-prun", 127, 288.7, 10.59, (27.38, 7.16, 25.28, 27.78, 3.03)),
            Row("healthcaremagic-bart", "lora", 162, 4.0, 9.47, (26.75, 6.48, 24.75, 27.38, 2.42)),
            Row("healthcaremagic-bart", "lora+l-prun", 211, 2.7, 6.51, (26.7, 6.56, 24.79, 27.8, 2.43)),
            Row("healthcaremagic-t5", "full", 100, 737.6, 31.01, (26.97, 6.83, 24.84, 26.92, 2.67)),
            Row("healthcaremagic-t5", "l-prun", 158, 443.9, 18.48, (26.98, 6.82, 24.93, 26.82, 2.65)),
            Row("healthcaremagic-t5", "lora", 132, 8.1, 19.87, (27.68, 6.4, 25.74, 27.71, 1.56)),
            Row("healthcaremagic-t5", "lora+l-prun", 222, 4.7, 11.66, (27.27, 6.41, 25.56, 29.04, 1.81)),
        ),
    ),
    "table5b": Table(
        about="iCliniq",
        scores=("R-1", "R-2", "R-L", "BLEU-1", "BLEU-4"),
        rows=(
            Row("icliniq-bart", "full", 100, 406.2, 17.41, (28.19, 7.66, 26.35, 34.71, 2.91)),
            Row("icliniq-bart", "l-prun", 138, 288.7, 12.21, (28.13, 7.32, 26.32, 33.57, 2.79)),
            Row("icliniq-bart", "lora", 158, 4.0, 11.65, (26.07, 6.49, 24.56, 33.18, 2.73)),
            Row("icliniq-bart", "lora+l-prun", 230, 2.7, 7.98, (27.35, 6.54, 25.81, 32.25, 2.25)),
            Row("icliniq-t5", "full", 100, 737.6, 35.19, (27.63, 7.39, 25.96, 34.98, 3.23)),
            Row("icliniq-t5", "l-prun", 164, 443.9, 20.92, (28.58, 7.47, 26.86, 33.87, 2.96)),
            Row("icliniq-t5", "lora", 128, 8.1, 23.96, (28.25, 6.77, 26.43, 32.94, 2.25)),
            Row("icliniq-t5", "lora+l-prun", 217, 4.7, 13.98, (27.65, 6.82, 25.93, 34.5, 2.26)),
        ),
    ),
    "table6": Table(
        about="ranks of LoRA, MIMIC-IV discharge notes",
        scores=("R-1", "R-2"),
        rows=(
            Row("discharge-bart", "full", 100, 406.2, 34.56, (43.46, 25.05)),
            Row("discharge-bart", "lora-qv-r4", 115, 0.6, 28.11, (38.07, 21.06)),
            Row("discharge-bart", "lora-qv-r8", 115, 1.2, 28.12, (39.64, 22.23)),
            Row("discharge-bart", "lora-qv", 115, 2.4, 28.15, (40.32, 22.66)),
            Row("discharge-bart", "lora-qv-r32", 114, 4.7, 28.2, (40.88, 23.1)),
            Row("discharge-bart", "lora-ffn-r4", 127, 1.1, 27.19, (39.79, 22.5)),
            Row("discharge-bart", "lora-ffn-r8", 127, 2.0, 27.21, (40.73, 23.19)),
            Row("discharge-bart", "lora", 125, 4.0, 27.25, (41.6, 23.77)),
            Row("discharge-bart", "lora-ffn-r32", 119, 7.9, 27.32, (42.24, 24.19)),
        ),
    ),
}
