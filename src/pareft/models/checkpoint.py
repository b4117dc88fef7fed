"""Bases on disk or on the Hub: their config, their tokenizer, and single tensors out of their safetensors files."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.safetensors_conversion import auto_conversion
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from pareft.errors import ModelError

EMBEDDED = "pareft-mini"


@dataclass(frozen=True)
class Base:
    """A base model by the name the user gave it, the place it is read from (a folder or a Hub name), and its config."""

    name: str
    place: str
    revision: str | None
    config: PreTrainedConfig


def open_base(name: str, *, revision: str | None = None) -> Base:
    """Find a base: `pareft-mini` in the package, a folder, or a name on the Hub.

    Raises:
        ModelError: nothing there, no network, or a folder without a config.
    """
    place = str(files("pareft") / "assets" / EMBEDDED) if name == EMBEDDED else name
    if not Path(place).is_dir() and (Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1):
        raise ModelError(f"no model folder {name}")
    with _explained(name):
        config = AutoConfig.from_pretrained(place, revision=revision or "main")
    return Base(name, place, revision, config)


def load_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's tokenizer."""
    with _explained(base.name):
        return AutoTokenizer.from_pretrained(base.place, revision=base.revision or "main")


def load_generation_config(base: Base) -> GenerationConfig:
    """The base's generation settings; where it has none of its own, those its config implies."""
    if _find_file(base, "generation_config.json"):
        return GenerationConfig.from_pretrained(base.place, revision=base.revision or "main")
    return GenerationConfig.from_model_config(base.config)


def list_tensors(base: Base) -> dict[str, Path]:
    """Every tensor's name and the safetensors file that holds it.

    A Hub model that has only pickled weights, as `facebook/bart-large` does, is read from the Hub's own conversion of it, a pull
    request by its conversion bot; nothing pickled is ever opened.

    Raises:
        ModelError: the base has no safetensors weights.
    """
    tensors = _list_own_tensors(base) or _list_own_tensors(_find_conversion(base))
    if tensors:
        return tensors
    raise ModelError(
        f"{base.name} has no {SAFE_WEIGHTS_NAME}: pareft reads safetensors only, nothing is executed from a checkpoint. "
        "Convert it once with transformers (from_pretrained, then save_pretrained) or name a revision that has it."
    )


def _list_own_tensors(base: Base) -> dict[str, Path]:
    if index := _find_file(base, SAFE_WEIGHTS_INDEX_NAME):
        shards: Mapping[str, str] = json.loads(index.read_text())["weight_map"]
        paths = {shard: _find_file(base, shard) for shard in sorted(set(shards.values()))}
        if lost := [shard for shard, path in paths.items() if path is None]:
            raise ModelError(f"{base.name}: {lost[0]} is named in {SAFE_WEIGHTS_INDEX_NAME} and is not there")
        return {tensor: path for tensor, shard in shards.items() if (path := paths[shard])}
    if single := _find_file(base, SAFE_WEIGHTS_NAME):
        with _explained(base.name), safe_open(single, framework="pt") as file:
            return dict.fromkeys(file.keys(), single)
    return {}


def _find_conversion(base: Base) -> Base:
    """The base at the revision of the Hub's conversion to safetensors; the base itself where there can be none."""
    if Path(base.place).is_dir() or base.revision:
        return base
    try:
        _, revision, _ = auto_conversion(base.place)
    except Exception as error:  # the Hub's client raises anything from OSError to its HTTP library's own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{base.name} has no safetensors weights, and the Hub's conversion of them cannot be read: {reason}. "
            "Check the network, or name a revision that has them."
        ) from error
    return replace(base, revision=revision)


def read_tensors(tensors: Mapping[str, Path], names: Iterable[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Read just these tensors, file by file."""
    by_file: dict[Path, list[str]] = {}
    for name in names:
        by_file.setdefault(tensors[name], []).append(name)
    for path, wanted in by_file.items():
        with safe_open(path, framework="pt") as file:
            for name in wanted:
                yield name, file.get_tensor(name)


def _find_file(base: Base, filename: str) -> Path | None:
    with _explained(base.name):
        found = cached_file(
            base.place,
            filename,
            revision=base.revision or "main",
            _raise_exceptions_for_missing_entries=False,
        )
    return Path(found) if found else None


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what transformers and the Hub raise into one line."""
    try:
        yield
    except SafetensorError as error:
        raise ModelError(f"{name}: its weights are no safetensors file, or a damaged one ({error})") from error
    except (OSError, ValueError, KeyError) as error:
        where = "the folder" if Path(name).is_dir() else "the Hub or its cache"
        advice = "" if Path(name).is_dir() else " Check the name and the network, or give a folder."
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"cannot read base {name!r} from {where}: {reason}.{advice}") from error
