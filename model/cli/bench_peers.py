"""Reading against llama.cpp: the same weights as GGUF, the same tokens, scores of every token, taking turns.

Both run in this process on as many threads. llama.cpp evaluates the prompt in pieces of its usual 512 tokens and
computes the scores of all tokens, as a reading does for its losses. That both compute one model is checked first, by
the scores of the last token. ``pip install 'recurrent-memory-explorer[peers]'`` brings what this needs.

The last function gives the same weights to transformers, the other peer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from model.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from model.arch.lm import LanguageModel

PIECE = 512
"""Tokens that llama.cpp evaluates at once by default."""
AGREES = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest difference of a score of the last token, over the largest score, for two computations of one model."""


def write_gguf(model: LanguageModel, file: Path, precision: str) -> None:
    """Write a stack of Mamba-2 as llama.cpp reads it; matrices in ``precision``, everything else in float32.

    UserError where the package gguf is not installed.
    """
    try:
        from gguf import GGMLQuantizationType, GGUFWriter, quants
    except ImportError as error:
        raise UserError("bench.no_peers") from error
    config: Any = model.config
    writer = GGUFWriter(str(file), "mamba2")
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(len(config.layers))
    writer.add_ssm_conv_kernel(config.d_conv)
    writer.add_ssm_inner_size(config.d_inner)
    writer.add_ssm_state_size(config.d_state)
    writer.add_ssm_time_step_rank(config.nheads)
    writer.add_ssm_group_count(config.ngroups)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    for name, (tensor, is_matrix) in named_tensors(model).items():
        values = np.ascontiguousarray(tensor.detach().float().numpy())
        if is_matrix and precision == "bfloat16":
            kind = GGMLQuantizationType.BF16
            writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def named_tensors(model: LanguageModel) -> dict[str, tuple[Tensor, bool]]:
    """The tensors of a stack of Mamba-2 under the names of llama.cpp, and whether each is a matrix of a product."""
    found: dict[str, tuple[Tensor, bool]] = {
        "token_embd.weight": (model.embedding.weight, True),
        "output.weight": (model.head, True),
        "output_norm.weight": (model.norm.weight, False),
    }
    groups = model.config.ngroups
    for index, block in enumerate(model.blocks):
        outer: Any = block
        mixer = outer.mixer
        layer: dict[str, tuple[Tensor, bool]] = {
            "attn_norm.weight": (outer.norm.weight, False),
            "ssm_in.weight": (mixer.in_proj.weight, True),
            "ssm_out.weight": (mixer.out_proj.weight, True),
            "ssm_conv1d.weight": (mixer.conv_weight.T, False),
            "ssm_conv1d.bias": (mixer.conv_bias, False),
            "ssm_dt.bias": (mixer.dt_bias, False),
            "ssm_a": (-mixer.A_log.exp()[:, None], False),
            "ssm_d": (mixer.D[:, None], False),
            "ssm_norm.weight": (mixer.norm.weight.reshape(groups, -1), False),
        }
        found |= {f"blk.{index}.{name}": entry for name, entry in layer.items()}
    return found


@contextmanager
def opened(file: Path, tokens: np.ndarray, threads: int) -> Iterator[Callable[[], np.ndarray]]:
    """A function that evaluates ``tokens`` (n_tokens,) with the model in ``file`` from an empty memory.

    It gives the scores of the last token, (vocab_size,). UserError where llama-cpp-python is not installed.
    """
    try:
        import llama_cpp
    except ImportError as error:
        raise UserError("bench.no_peers") from error
    llama = llama_cpp.Llama(
        model_path=str(file),
        n_ctx=len(tokens) + PIECE,
        n_batch=PIECE,
        n_ubatch=PIECE,
        n_threads=threads,
        n_threads_batch=threads,
        logits_all=True,
        n_gpu_layers=0,
        verbose=False,
    )
    context, vocabulary = llama.ctx, llama.n_vocab()
    batch = llama_cpp.llama_batch_init(PIECE, 0, 1)

    def evaluate() -> np.ndarray:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        count = 0
        for first in range(0, len(tokens), PIECE):
            piece = tokens[first : first + PIECE]
            count = batch.n_tokens = len(piece)
            for place, token in enumerate(piece.tolist()):
                batch.token[place], batch.pos[place] = token, first + place
                batch.n_seq_id[place], batch.seq_id[place][0], batch.logits[place] = 1, 0, True
            if llama_cpp.llama_decode(context, batch):
                raise RuntimeError("llama.cpp did not evaluate the prompt")
        scores = llama_cpp.llama_get_logits_ith(context, count - 1)
        return np.ctypeslib.as_array(scores, (vocabulary,)).copy()

    try:
        yield evaluate
    finally:
        llama_cpp.llama_batch_free(batch)
        llama.close()


@contextmanager
def same_weights(model: LanguageModel, tokens: np.ndarray, precision: str, threads: int) -> Iterator[Callable[[], Any]]:
    """llama.cpp with the weights of ``model``, ready to evaluate ``tokens``; RuntimeError if it is another model."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        write_gguf(model, file, precision)
        with opened(file, tokens, threads) as evaluate:
            with torch.inference_mode():
                ours = model(torch.from_numpy(tokens.astype(np.int64))[None])[0][0, -1].float().numpy()
            difference = float(np.abs(evaluate() - ours).max() / np.abs(ours).max())
            if not difference <= AGREES[precision]:
                raise RuntimeError(f"llama.cpp computes another model: {difference:.1e} apart")
            yield evaluate


def to_transformers(model: LanguageModel) -> Any:
    """The same model as transformers' Mamba2ForCausalLM, weights included, in float32."""
    import torch
    from transformers import Mamba2Config, Mamba2ForCausalLM, logging

    logging.set_verbosity_error()  # it names the CUDA packages it does without
    config = model.config
    theirs = Mamba2ForCausalLM(
        Mamba2Config(
            hidden_size=config.d_model,
            num_hidden_layers=len(config.layers),
            num_heads=config.nheads,
            head_dim=config.headdim,
            state_size=config.d_state,
            n_groups=config.ngroups,
            vocab_size=config.vocab_size,
            expand=int(config.expand),
            conv_kernel=config.d_conv,
            layer_norm_epsilon=config.norm_eps,
            tie_word_embeddings=config.tied,
        )
    ).eval()
    backbone = theirs.backbone
    with torch.no_grad():
        backbone.embeddings.weight.copy_(model.embedding.weight)
        theirs.lm_head.weight.copy_(model.head)
        backbone.norm_f.weight.copy_(model.norm.weight)
        for block, layer in zip(model.blocks, backbone.layers, strict=True):
            ours: Any = block.mixer
            mixer = layer.mixer
            layer.norm.weight.copy_(cast(Any, block).norm.weight)
            mixer.norm.weight.copy_(ours.norm.weight)
            mixer.in_proj.weight.copy_(ours.in_proj.weight)
            mixer.out_proj.weight.copy_(ours.out_proj.weight)
            mixer.conv1d.weight.copy_(ours.conv_weight.T[:, None])
            mixer.conv1d.bias.copy_(ours.conv_bias)
            for name in ("A_log", "D", "dt_bias"):
                getattr(mixer, name).copy_(getattr(ours, name))
    return theirs
