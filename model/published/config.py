"""A published checkpoint's ``config.json`` in our words: read by the library's own class, translated by its family."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from model.config import ModelConfig
from model.errors import UserError
from model.published import FAMILIES, WITHOUT_HEAD, WITHOUT_STATE, titles

COMPUTED = {"layer", "d_state", "d_conv", "expand", "headdim", "ngroups", "dt_rank", "dt_limit", "norm_before_gate"}
COMPUTED |= {"bias", "conv_bias", "rmsnorm"}
"""Settings of a mixer in the original layout that change numbers, and that are honoured."""
UNUSED = {"chunk_size", "use_mem_eff_path", "use_fast_path", "A_init_range", "dt_min", "dt_max", "dt_init_floor"}
UNUSED |= {"dt_init", "dt_scale"}
"""Settings that change the speed, or how a model starts to be trained, and nothing that is read."""


WIDTH = re.compile(r"size|dim|width|head|group|rank|expand|vocab|channel|kernel|conv|embd|\bd_")
PART = re.compile(r"layer|block|expert")
"""Words in the names of settings that count numbers side by side, and what is built one by one."""
WIDEST, MOST_PARTS = 1 << 28, 1024
"""More of either than any model has."""


@dataclass(frozen=True, kw_only=True)
class PublishedConfig(ModelConfig):
    """Sizes of a published model. ``layers`` are its recurrent memories alone: what stands between is no memory.

    ``family`` is a row of :data:`model.published.FAMILIES`, ``inner`` the width of a mixer, ``source`` the library's
    own configuration. ``length_from`` says where the training length is from: "config", "family" (assumed) or "user".
    Attention beside the memories keeps ``kept_per_token`` numbers of every token, of the last
    ``kept_tokens`` or, where that is None, of all. ``logit_scale`` multiplies the scores of the head and ``logit_cap``
    bends them; ``gate_after_norm`` says that a Mamba-2 norms its output first and gates it then.
    """

    family: str
    inner: int
    length_from: str = "family"
    attention_layers: int = 0
    kept_per_token: int = 0
    kept_tokens: int | None = 0
    logit_scale: float = 1.0
    logit_cap: float | None = None
    gate_after_norm: bool = False
    source: Any = field(repr=False, compare=False)

    @property
    def d_inner(self) -> int:
        """Width of a mixer."""
        return self.inner


def sees_everything(config: ModelConfig) -> bool:
    """Whether a model of ``config`` has attention beside its memories that sees the whole document."""
    return isinstance(config, PublishedConfig) and config.kept_per_token > 0 and config.kept_tokens is None


def read_published(folder: Path, name: str, train_length: int | None = None) -> PublishedConfig:
    """The configuration in ``folder``, with another ``train_length`` if one is given.

    UserError, one sentence each, where it is damaged, of no family here, quantised, or needs code of its own.
    """
    file = folder / "config.json"
    try:
        config = _read(file, name, file.stat().st_mtime_ns)
    except OSError as error:
        raise UserError("published.no_config", name=name) from error
    return config if train_length is None else replace(config, train_length=train_length, length_from="user")


@lru_cache(maxsize=64)
def _read(file: Path, name: str, _changed: int) -> PublishedConfig:
    try:
        values = json.loads(file.read_text("utf-8"))
        family = family_of(values, name)
        check_sizes(values, name)
        return translate(family, values, file.parent)
    except NotComputedError as error:
        raise UserError("published.not_computed", name=name, what=error.what) from error
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError("checkpoints.bad_config", name=name) from error


def family_of(values: Mapping[str, Any], name: str) -> str:
    """The family of a configuration's ``values``; UserError if there is none that can be read here."""
    found = values.get("model_type") or original_values(values).get("model_type")
    if found in WITHOUT_STATE:
        raise UserError("published.no_state", name=name, kind=str(found))
    if found in WITHOUT_HEAD:
        raise UserError("published.no_head", name=name, kind=str(found))
    if found not in FAMILIES:
        if values.get("auto_map"):
            raise UserError("published.remote_code", name=name)
        kind = str(found or next(iter(values.get("architectures") or ["?"])))
        raise UserError("published.unsupported", name=name, kind=kind, known=titles())
    if values.get("quantization_config"):
        raise UserError("published.quantised", name=name)
    return str(found)


def translate(family: str, values: Mapping[str, Any], folder: Path) -> PublishedConfig:
    """The configuration ``values`` in ``folder``; ValueError for a variant that our modules do not compute."""
    row = FAMILIES[family]
    source: Any = SimpleNamespace(**values)
    if row.in_transformers:
        source = by_library(family, values, folder)
    module = import_module(f"model.published.{row.module}")
    found = module.sizes(source)
    length_from = "config" if "train_length" in found else "family"
    sizes: dict[str, Any] = {"train_length": row.train_length, **found}
    return PublishedConfig(family=family, source=source, length_from=length_from, **sizes)


def by_library(family: str, values: Mapping[str, Any], folder: Path) -> Any:
    """What the library's own class makes of a configuration; ValueError for whatever it finds wrong."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING

    # flash-linear-attention saves Mamba under the library's names, but for this one.
    other = {"layer_norm_epsilon": values["norm_eps"]} if "mamba" in family and "norm_eps" in values else {}
    try:
        if "model_type" in values:
            return CONFIG_MAPPING[family].from_pretrained(folder, local_files_only=True, **other)
        return CONFIG_MAPPING[family].from_dict(original_values(values))
    except StrictDataclassError as error:
        raise ValueError(str(error)) from error


def original_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The layout of the state-spaces repositories in the words of the library; empty if it is not that layout.

    It has no ``model_type``. The sizes that it leaves out are the defaults of the original modules.
    """
    if not {"d_model", "n_layer", "vocab_size"} <= values.keys():
        return {}
    if values.get("attn_layer_idx") or values.get("d_intermediate") or not values.get("rms_norm", True):
        return {}
    ssm = values.get("ssm_cfg") or {}
    width, multiple = int(values["d_model"]), int(values.get("pad_vocab_size_multiple", 8))
    second = ssm.get("layer") == "Mamba2"
    refuse_unless(ssm.get("layer") in (None, "Mamba1", "Mamba2"), f"ssm_cfg.layer = {ssm.get('layer')}")
    for name in sorted(ssm.keys() - COMPUTED - UNUSED):
        refuse_unless(False, f"ssm_cfg.{name} = {ssm[name]}")
    refuse_unless(ssm.get("rmsnorm", True), "ssm_cfg.rmsnorm = false")
    found = {
        "model_type": "mamba2" if second else "mamba",
        "hidden_size": width,
        "num_hidden_layers": values["n_layer"],
        "vocab_size": -(-int(values["vocab_size"]) // multiple) * multiple,
        "state_size": ssm.get("d_state", 128 if second else 16),
        "conv_kernel": ssm.get("d_conv", 4),
        "expand": ssm.get("expand", 2),
        "tie_word_embeddings": values.get("tie_embeddings", True),
        "use_bias": ssm.get("bias", False),
        "use_conv_bias": ssm.get("conv_bias", True),
    }
    if second:
        headdim = ssm.get("headdim", 64)
        heads = found["expand"] * width // headdim
        limits = {"time_step_limit": tuple(ssm.get("dt_limit", (0.0, float("inf"))))}
        limits["norm_before_gate"] = ssm.get("norm_before_gate", False)
        return {**found, **limits, "head_dim": headdim, "num_heads": heads, "n_groups": ssm.get("ngroups", 1)}
    return {**found, "time_step_rank": ssm.get("dt_rank", "auto")}


def check_sizes(values: Mapping[str, Any], name: str) -> None:
    """UserError for a size in a configuration that no model has, before anything is made of that many parts."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            check_sizes(value, name)
        elif type(value) is int and "window" not in key:
            most = WIDEST if WIDTH.search(key) else MOST_PARTS if PART.search(key) else value
            if value > most:
                raise UserError("checkpoints.absurd_config", name=name, what=f"{key} = {value}")


class NotComputedError(ValueError):
    """A variant of a family that our modules do not compute; ``what``, in the words of its configuration, is it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not computed here: {what}")
        self.what = what


def refuse_unless(fits: bool, what: str) -> None:
    """NotComputedError naming ``what`` a family's module does not compute, unless it ``fits``."""
    if not fits:
        raise NotComputedError(what)
