"""The tasks that a recipe's `data.name` can say, and by what each is scored; `pareft.data.named` has their rows. No files here."""

from dataclasses import dataclass

from pareft.settings import BestMetric, MetricName, TaskName


@dataclass(frozen=True)
class NamedTask:
    """What a task asks of a base, its official metrics, and the score by which a checkpoint is chosen."""

    metrics: tuple[MetricName, ...] = ("classification",)
    best: BestMetric = "accuracy"
    task: TaskName = "classification"
    unanswerable: bool = False


_CHOICE = NamedTask(("exact_match",), "exact_match", "choice")
_BINARY = NamedTask(("classification", "f1"), "f1")  # labels 0 and 1, and F1 of 1
NAMED_TASKS: dict[str, NamedTask] = {
    "glue/cola": NamedTask(best="matthews"),
    "glue/sst2": NamedTask(),
    "glue/mrpc": _BINARY,
    "glue/stsb": NamedTask(("regression",), "pearson", "regression"),
    "glue/qqp": _BINARY,
    "glue/mnli": NamedTask(),
    "glue/mnli-mismatched": NamedTask(),
    "glue/qnli": NamedTask(),
    "glue/rte": NamedTask(),
    "glue/wnli": NamedTask(),
    "superglue/boolq": NamedTask(),
    "superglue/cb": NamedTask(),
    "superglue/copa": _CHOICE,
    "superglue/multirc": _BINARY,
    "superglue/record": NamedTask(("answers",), "answer_f1", "choice"),
    "superglue/rte": NamedTask(),
    "superglue/wic": NamedTask(),
    "superglue/wsc": NamedTask(),
    "qa/arc-challenge": _CHOICE,
    "qa/arc-easy": _CHOICE,
    "qa/hellaswag": _CHOICE,
    "qa/openbookqa": _CHOICE,
    "qa/piqa": _CHOICE,
    "qa/siqa": _CHOICE,
    "qa/squad": NamedTask(("answers",), "answer_f1", "span"),
    "qa/squad2": NamedTask(("answers",), "answer_f1", "span", unanswerable=True),
}
