"""How fast a data set is described (sentences, words, novel n-grams of every pair), beside NLTK's sentences and words alone.

    python benchmarks/measure_statistics.py [--out statistics.json]
    python benchmarks/measure_statistics.py --texts pairs.jsonl        # objects with `source` and `target`

One process, no accelerator. Without `--texts`, the pairs of synthetic radiology reports (about 130 words a source) and of synthetic
discharge notes (about 1,900). pareft's time is that of `describe_pairs`, novelty included; NLTK's is
that of `sent_tokenize` and `word_tokenize` of the same texts, without novelty. Its punkt is untrained, for the trained one would
have to be downloaded, and sentences are split once more for the words, as `word_tokenize` does. Rounds are interleaved; the ratio
is of the medians. Prints, per set, seconds, the ratio, and the words and sentences that both count.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer
from rich.console import Console

from pareft.data.sections import Kind, Pair, pair_sections
from pareft.data.statistics import describe_pairs
from pareft.preparation.synthetic import GENERATORS

Pairs = list[tuple[str, str]]


def make_pairs(kind: Kind, count: int) -> Pairs:
    """Synthetic notes, cut into source and target as the builders do."""
    notes = (note["text"] for note in GENERATORS[kind](2 * count, 1))
    pairs = (pair_sections(text, kind, "clean") for text in notes)
    return list(islice(((pair.source, pair.target) for pair in pairs if isinstance(pair, Pair)), count))


def read_pairs(path: Path, limit: int) -> Pairs:
    with path.open() as file:
        return [(row["source"], row["target"]) for row in map(json.loads, islice(file, limit))]


def count_with_pareft(pairs: Pairs) -> tuple[float, float]:
    found = describe_pairs(pairs)
    words, sentences = found.source_words + found.target_words, found.source_sentences + found.target_sentences
    return words * found.examples, sentences * found.examples


def count_with_nltk(pairs: Pairs) -> tuple[float, float]:
    splitter, tokenizer = PunktSentenceTokenizer(), NLTKWordTokenizer()
    words, sentences = 0, 0
    for pair in pairs:
        for text in pair:
            sentences += len(splitter.tokenize(text))
            words += sum(len(tokenizer.tokenize(sentence)) for sentence in splitter.tokenize(text))
    return words, sentences


def compare(pairs: Pairs, rounds: int) -> dict[str, float]:
    routes: dict[str, Callable[[Pairs], tuple[float, float]]] = {"pareft": count_with_pareft, "nltk": count_with_nltk}
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    result: dict[str, float] = {"pairs": len(pairs), "megabytes": sum(len(text.encode()) for pair in pairs for text in pair) / 1e6}
    for _ in range(rounds):
        for name, route in routes.items():
            started = time.perf_counter()
            words, sentences = route(pairs)
            seconds[name].append(time.perf_counter() - started)
            result |= {f"{name}_words": round(words), f"{name}_sentences": round(sentences)}
    for name, taken in seconds.items():
        result[f"{name}_seconds"] = statistics.median(taken)
    return result | {"times": result["nltk_seconds"] / result["pareft_seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[], metavar="FILE.jsonl")
    parser.add_argument("--pairs", type=int, default=2_000, help="so many short pairs, or of a file; a tenth of it long ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    sets = {str(path): read_pairs(path, args.pairs) for path in args.texts} or {
        "radiology": make_pairs("radiology", args.pairs),
        "discharge": make_pairs("discharge", args.pairs // 10),
    }
    result = {}
    for name, pairs in sets.items():
        result[name] = compare(pairs, args.rounds)
        Console().print(f"{name}:", result[name])
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
