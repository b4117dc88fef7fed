"""A model trained behind its frozen prefix: the prefix's states come from the store, or are computed, kept and passed on."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.errors import PareftWarning
from pareft.models.digests import digest_layers
from pareft.models.families import find_family
from pareft.models.identity import read_fingerprint
from pareft.runtime import Precision, autocast, find_processes
from pareft.settings import count_bytes
from pareft.tuning.number_store import NumberStore, digest_keys, find_room, name_example
from pareft.tuning.prefix.ending import Entry, Prefix, find_prefix
from pareft.tuning.prefix.entering import enter, evaluating, reach
from pareft.tuning.replacing import replace_forward

SHARE = 0.5  # of the free disk, where no size is given
MEMORY_SHARE = 0.5  # of the free memory: what is read in every epoch, and fits into that, stays there
CROSS = "cross"  # the part that holds keys and values
LIBRARIES = ("pareft", "torch", "transformers")  # whose other versions compute anew
Compute = Callable[[list[int]], torch.Tensor]


@contextmanager
def keep_prefix(
    model: PreTrainedModel | PeftModel,
    examples: Dataset,
    setting: bool | str,
    *,
    cross: bool | Literal["auto"] = "auto",
    folder: Path | None,
    precision: Precision,
) -> Iterator[None]:
    """Inside, a training step of these examples computes what is frozen before all that is trained only where it is not kept yet.
    In evaluation the model is what it was, and afterwards altogether.

    Dropout is off in the prefix, in the first epoch too. `setting` is `train.cache_frozen_prefix`, `cross` is
    `train.cache_cross_attention`; with no folder, what is kept is gone afterwards.

    Raises:
        RecipeError: nothing is frozen before what is trained.
    """
    if setting is False:
        yield
        return
    prefix = find_prefix(model)
    server = _Server(model.get_base_model() if isinstance(model, PeftModel) else model, prefix)
    sources, pairs = server.identify(examples)
    keys = {"encoder": sources, "decoder": pairs, CROSS: sources}
    wanted = {part: _Wanted(keys[part], *found) for part, found in server.probe(examples[0], precision).items()}
    processes = find_processes()
    on_processor = server.base.device.type == "cpu"
    shares = processes.share(_find_shares(wanted, setting, cross, folder, on_processor) if processes.first else None)
    key = {
        "base": read_fingerprint(server.base) or digest_layers(server.base, find_family(server.base.config)),
        "left_out": prefix.describe(),
        "projections": [name for name, module in server.base.named_modules() if module in prefix.projections],
        "precision": precision,
        **{name: version(name) for name in LIBRARIES},
    }
    try:
        for name, share in shares.items():
            server.rows[name] = wanted[name].open(folder / name if folder else None, key, share)
        with server.serve():
            yield
    finally:
        for rows in server.rows.values():
            rows.store.close()


def _find_shares(
    wanted: "dict[str, _Wanted]", setting: bool | str, cross: bool | str, folder: Path | None, on_processor: bool
) -> dict[str, float]:
    """How much of each part that is wanted may be kept, states first; what is there already counts as free disk."""
    limit = count_bytes(setting) if isinstance(setting, str) else find_room(folder, SHARE)
    states = sum(part.bytes for name, part in wanted.items() if name != CROSS)
    share = min(1.0, limit / states)
    shares = {name: share for name in wanted if name != CROSS}
    if share < 1:
        _warn("train.cache_frozen_prefix", share, states, limit)
    if CROSS in wanted and cross is not False:
        size, left = wanted[CROSS].bytes, max(0, limit - states)
        if cross == "auto":
            pays = on_processor and size <= min(left, MEMORY_SHARE * psutil.virtual_memory().available)
            return shares | ({CROSS: 1.0} if pays else {})
        shares[CROSS] = min(1.0, left / size)
        if shares[CROSS] < 1:
            _warn("train.cache_cross_attention", shares[CROSS], size, left)
    return shares


def _warn(key: str, share: float, size: int, limit: int) -> None:
    warnings.warn(
        f"{key}: {share:.0%} of the prefix's {size / 1e9:.1f} GB fit into {limit / 1e9:.1f} GB; the rest is computed in every "
        "epoch",
        PareftWarning,
        stacklevel=4,
    )


@dataclass
class _Rows:
    """States by what they were computed from: an example is known by its tokens, wherever it stands in a batch. Of every example
    there are as many kinds as `widths`.
    """

    store: NumberStore
    lengths: Sequence[int]
    numbers: dict[bytes, int]
    widths: Sequence[int]

    def fetch(
        self, keys: Sequence[Sequence[bytes]], tokens: int, device: torch.device, compute: Compute, kind: int = 0
    ) -> torch.Tensor:
        """The states of a batch, (B, T, D), zeros where it is padded; keys: what each of B may be known by. `compute` gives the
        states of some of them, (b, T, D), which are kept.
        """
        width = self.widths[kind]
        found = [next((self.numbers[key] for key in some if key in self.numbers), None) for some in keys]
        places = [None if number is None else number * len(self.widths) + kind for number in found]
        kept = [None if number is None else self.store.read(number) for number in places]
        missing = [place for place, rows in enumerate(kept) if rows is None]
        states = torch.empty(len(keys), tokens, width, dtype=self.store.dtype, pin_memory=device.type == "cuda")
        for row, numbers in zip(states, kept, strict=True):
            if numbers is not None:
                length = len(numbers) // width
                row[:length] = numbers.view(length, width)
                row[length:] = 0
        states = states.to(device, non_blocking=True)
        if missing:
            states[missing] = computed = compute(missing).to(self.store.dtype)
            for place, rows in zip(missing, computed, strict=True):
                if (number := places[place]) is not None:
                    self.store.write(number, rows[: self.lengths[number // len(self.widths)]])
        return states


@dataclass
class _Wanted:
    """What would be kept: states of so many tokens by key, of each kind so wide."""

    lengths: dict[bytes, int]
    widths: Sequence[int]
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return sum(self.lengths.values()) * sum(self.widths) * self.dtype.itemsize

    def open(self, folder: Path | None, key: dict[str, Any], share: float) -> _Rows:
        more = {"examples": digest_keys(self.lengths), "widths": list(self.widths), "dtype": str(self.dtype)}
        counts = [length * width for length in self.lengths.values() for width in self.widths]
        store = NumberStore(folder, key | more, counts, dtype=self.dtype, limit_bytes=int(share * self.bytes))
        return _Rows(store, list(self.lengths.values()), {known: number for number, known in enumerate(self.lengths)}, self.widths)


@dataclass
class _Server:
    """Stands between a model and its stacks while it is trained."""

    base: Any
    prefix: Prefix
    rows: dict[str, _Rows] = field(default_factory=dict)
    output: Any = None  # what the encoder returns
    sources: list[bytes] | None = None  # of the batch whose sources were encoded last
    states: torch.Tensor | None = None  # and what the encoder returned for them

    def identify(self, examples: Dataset) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """How many tokens there are to keep of every source, and of every pair, by what it is known by."""
        sources: dict[bytes, int] = {}
        pairs: dict[bytes, int] = {}
        for batch in examples.with_format("numpy").iter(1000):
            for source, labels in zip(batch["input_ids"], batch["labels"], strict=True):
                known = name_example(source)
                sources[known] = len(source)
                if self.prefix.decoder:
                    pairs[name_example(self._shift(labels)[0].numpy(), known)] = len(labels)
        return sources, pairs

    def _shift(self, labels: Sequence[int]) -> torch.Tensor:
        """What the decoder is given for the targets of an example. Returns (1, T)."""
        return self.base.prepare_decoder_input_ids_from_labels(labels=torch.from_numpy(np.array(labels, dtype=np.int64))[None])

    def probe(self, example: dict[str, Any], precision: Precision) -> dict[str, tuple[list[int], torch.dtype]]:
        """How wide every stack's states are, and their type: the encoder's output in that to which its readers cast it."""
        sizes, device = {}, self.base.device
        inputs = {name: torch.tensor([example[name]], device=device) for name in ("input_ids", "attention_mask")}
        with autocast(precision) as context, evaluating(self.base):
            encoder, decoder = self.prefix.encoder, self.prefix.decoder
            with reach(encoder) as reached:
                self.output = encoder.root(**inputs)
            states = self.output[0] if encoder.whole else reached[0]
            cast = encoder.whole and precision != "fp32"
            sizes["encoder"] = [states.shape[-1]], context.fast_dtype if cast else states.dtype
            if decoder:
                with reach(decoder) as reached:
                    decoder.root(input_ids=self._shift(example["labels"]).to(device), encoder_hidden_states=states)
                sizes["decoder"] = [reached[0].shape[-1]], reached[0].dtype
            if projections := self.prefix.projections:
                sizes[CROSS] = [module.out_features for module in projections], projections[0](states).dtype
        return sizes

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Inside, both stacks start behind their prefix in training."""
        encoder, decoder = self.prefix.encoder, self.prefix.decoder
        with ExitStack() as replaced:
            plain = encoder.root.forward
            replaced.enter_context(replace_forward(encoder.root, partial(self._encode, encoder, plain)))
            if decoder:
                replaced.enter_context(replace_forward(decoder.root, partial(self._decode, decoder, decoder.root.forward)))
            for kind, module in enumerate(self.prefix.projections if CROSS in self.rows else ()):
                replaced.enter_context(replace_forward(module, partial(self._project, kind, module.forward)))
            yield

    def _encode(
        self, entry: Entry, plain: Callable[..., Any], input_ids: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        self.sources = self.states = None
        if not entry.root.training or input_ids is None or attention_mask is None:
            return plain(input_ids=input_ids, attention_mask=attention_mask, **more)
        lengths = attention_mask.sum(1).tolist()
        tokens = input_ids.cpu().numpy()
        self.sources = [name_example(row[:length]) for row, length in zip(tokens, lengths, strict=True)]

        def compute(some: list[int]) -> torch.Tensor:
            with evaluating(entry.root), reach(entry) as reached:
                output = plain(input_ids=input_ids[some], attention_mask=attention_mask[some])
            return output[0] if entry.whole else reached[0]

        keys = [(source,) for source in self.sources]
        states = self.rows["encoder"].fetch(keys, input_ids.shape[1], input_ids.device, compute)
        if entry.whole:
            self.states = states
            return type(self.output)(last_hidden_state=states)
        with enter(entry, states):
            return plain(input_ids=input_ids, attention_mask=attention_mask, **more)

    def _find_sources(self, states: torch.Tensor | None) -> list[bytes] | None:
        """What states were computed from, if they are those of the batch that was encoded last."""
        if states is None or self.states is None or states.shape != self.states.shape:
            return None
        return self.sources if states.data_ptr() == self.states.data_ptr() else None

    def _project(self, kind: int, plain: Callable[..., torch.Tensor], states: torch.Tensor) -> torch.Tensor:
        """Keys or values of the encoder's states. states: (B, T, D)"""
        sources = self._find_sources(states)
        if sources is None:
            return plain(states)

        def compute(some: list[int]) -> torch.Tensor:
            with torch.no_grad():
                return plain(states[some])

        return self.rows[CROSS].fetch([(source,) for source in sources], states.shape[1], states.device, compute, kind)

    def _decode(
        self,
        entry: Entry,
        plain: Callable[..., Any],
        input_ids: Any = None,
        attention_mask: Any = None,
        encoder_hidden_states: Any = None,
        encoder_attention_mask: Any = None,
        **more: Any,
    ) -> Any:
        sources = self._find_sources(encoder_hidden_states)
        given = {
            "input_ids": input_ids,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
        }
        if not entry.root.training or sources is None or input_ids is None or attention_mask is not None:
            return plain(**given, attention_mask=attention_mask, **more)

        def compute(some: list[int]) -> torch.Tensor:
            with evaluating(entry.root), reach(entry) as reached:
                plain(**{name: values[some] for name, values in given.items()}, use_cache=False)
            return reached[0]

        keys = [self._name_pair(source, row) for source, row in zip(sources, input_ids.cpu().numpy(), strict=True)]
        states = self.rows["decoder"].fetch(keys, input_ids.shape[1], input_ids.device, compute)
        with enter(entry, states):
            return plain(**given, **more)

    def _name_pair(self, source: bytes, tokens: np.ndarray) -> tuple[bytes, bytes]:
        """What a padded target's pair may be known by: in padding, its last token is one that the decoder needs not be given."""
        real = int(np.flatnonzero(tokens != self.base.config.pad_token_id).max(initial=0)) + 1
        return name_example(tokens[:real], source), name_example(tokens[: real - 1], source)
