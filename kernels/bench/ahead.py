"""Every Triton kernel compiled ahead of time, without a GPU: registers, spills and shared memory of the result.

    python -m kernels.bench.ahead [--arch 90] [--kernel read_spans] [--headdim 80 --d-state 256]

One line of JSON per kernel and architecture; exits 1 if one is over its limits. Sizes of a model are not part of a
binary but headdim and d_state are, so Mamba-2 130M and 2.7B (both 64 by 128) run the very same ones.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.triton import boundaries, diagonal, selective
from kernels.triton.cells import backward as cells_backward
from kernels.triton.cells import forward as cells
from kernels.triton.cells.loop import Sizes
from kernels.triton.low_rank import backward as low_rank_backward
from kernels.triton.low_rank import forward as low_rank
from kernels.triton.low_rank import solve as low_rank_solve
from kernels.triton.low_rank.channels import low_rank_channel_key_gradients, low_rank_channel_scores
from kernels.triton.scalar_decay import (
    backward as scalar_decay_backward,
)
from kernels.triton.scalar_decay import (
    forward as scalar_decay,
)
from kernels.triton.scalar_decay import (
    spans,
)
from kernels.triton.scalar_decay import (
    window as scalar_window,
)
from kernels.triton.shapes import Fit
from kernels.triton.vector_decay import backward as backward
from kernels.triton.vector_decay import forward as vector_decay
from kernels.types import ScanInputs

ARCHITECTURES = (80, 90, 100)
INTEGERS = {
    "batch",
    "units",
    "seqlen",
    "nchunks",
    "nheads",
    "ngroups",
    "first",
    "every",
    "last",
    "nkept",
    "nsteps",
    "splits",
    "past",
    "whole",
    "rest",
    "left",
    "width",
}
FLOATS = {"decay", "insertion"}
HALF = {
    "weights",
    "x",
    "B",
    "C",
    "dx",
    "b",
    "reader",
    "values",
    "keys",
    "erasing",
    "seen",
    "mine",
    "gradient",
    "more_keys",
}
"""Tensors that come in the dtype of the products; every other pointer is to float32."""

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
SPILL_LIMIT = {
    "bf16": {80: 640, 90: 0, 100: 64},
    "tf32x3": {80: 4400, 90: 576, 100: 128},
    "tf32x3 by registers": {80: 7168, 90: 2048, 100: 3072},
    "cells": {80: 320, 90: 320, 100: 320},
    "other": {80: 1 << 14, 90: 1 << 14, 100: 1 << 14},
}
"""Bytes of stack per thread; "other": of a shape that was asked for, whose spills are reported.

Ampere's products read operands through registers, and those of float32 do not fit. Nor do they anywhere where a factor
is made in registers and not read from memory: an inverse, a state. What programs of cells spill is what they load their
weights with, before the first token.
"""


class Build(NamedTuple):
    """A kernel with its constants and its warps; ``wide``: tensors that are float32 although their name is in HALF.

    ``spills``: its row in SPILL_LIMIT, if that is not the one of its products.
    """

    name: str
    kernel: Any
    constants: dict[str, Any]
    warps: int
    wide: frozenset[str] = frozenset()
    spills: str = ""


def builds(headdim: int | None = None, d_state: int | None = None) -> list[Build]:
    """What scans of all families launch, at heads of their own or of a given shape."""
    if headdim is not None or d_state is not None:
        shape = headdim or 64, d_state or 128
        tile, low_rank_tile = tile_of(*shape), tile_of(*shape, low_rank.ROWS_OF_DEEP)
        found = scalar_builds(*tile) + vector_builds(*tile) + low_rank_builds(*low_rank_tile)
        return [build._replace(spills="other") for build in found]
    return scalar_builds(64, 128) + vector_builds(64, 64) + channel_builds() + low_rank_builds(128, 128) + cell_builds()


def tile_of(headdim: int, d_state: int, *rows_of_deep: int) -> tuple[int, int]:
    """The tile that heads of this shape are cut into."""
    x, B = torch.empty(1, 1, 1, headdim), torch.empty(1, 1, 1, d_state)
    fit = Fit.of(ScanInputs(x, B, B, x), *rows_of_deep)
    return fit.rows, fit.width


def scalar_builds(headdim: int, d_state: int) -> list[Build]:
    """What a scan with one decay per head launches; Mamba-2 130M and 2.7B have heads of 64 by 128."""
    found, span = [], {"SPAN": scalar_decay.chunks_of_span(64)}
    for products in "bf16", "tf32x3":
        tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": 64, "PRODUCTS": products}
        warps, depth = scalar_decay.launch(products)["num_warps"], {"DEPTH": scalar_decay.depth(products)}
        chunk = Build(f"chunk_states {products}", spans.span_states, tile | {"SPAN": 1, "REVERSE": False}, warps)
        gradient = tile | {"SPAN": 1, "REVERSE": True}
        read = Build(f"read_spans {products}", spans.read_spans, tile | depth | span | {"NORMS": False}, warps)
        norms = tile | depth | span | {"NORMS": True}
        spills = "tf32x3 by registers" if products == "tf32x3" else ""
        found += [
            chunk,
            chunk._replace(name=f"chunk_states backward {products}", constants=gradient, wide=frozenset({"x"})),
            Build(f"span_states {products}", spans.span_states, tile | span | {"REVERSE": False}, 8),
            read,
            read._replace(name=f"read_spans norms {products}", constants=norms, warps=8, spills=spills),
            Build(f"window_read {products}", scalar_window.window_read, tile | depth, warps),
            Build(f"window_boundaries {products}", scalar_window.window_boundaries, tile, warps),
            Build(f"input_gradients {products}", scalar_decay_backward.input_gradients, tile | depth, warps),
            Build(f"key_gradients {products}", scalar_decay_backward.key_gradients, tile | depth, 8),
        ]
    elements = headdim * d_state
    part = boundaries.slice_of(elements)
    passing = {"ELEMENTS": elements, "SLICE": part, "CHANNELS": 1, "CLIP": False, "SUMS": False}
    clip = passing | {"SLICE": elements, "CLIP": True, "SUMS": True}
    gradient = {"ELEMENTS": elements, "SLICE": part, "CHANNELS": 1, "GIVEN": True}
    found += [
        Build("pass_states", boundaries.pass_states, passing, boundaries.warps_of(part)),
        Build("pass_states clip", boundaries.pass_states, clip, boundaries.warps_of(elements)),
        Build("pass_gradients", boundaries.pass_gradients, gradient, 4),
        Build("window_sums", scalar_window.window_sums, {"ELEMENTS": elements, "SLICE": part}, 4),
    ]
    return found


def vector_builds(headdim: int, d_state: int) -> list[Build]:
    """What a scan with one decay per channel launches; RWKV-6 and a small GLA have heads of 64 by 64."""
    found, span = [], {"SPAN": scalar_decay.chunks_of_span(64)}
    for products in "bf16", "tf32x3":
        tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": 64, "PRODUCTS": products}
        warps, deep = scalar_decay.launch(products)["num_warps"], {"DEPTH": scalar_decay.depth(products)}
        blocks = {"BLOCK": vector_decay.BLOCK}
        score = {name: size for name, size in tile.items() if name != "HEADDIM"} | blocks
        states = Build(f"vector_states {products}", vector_decay.vector_states, tile | span | {"REVERSE": False}, 8)
        back = states._replace(name=f"vector_states backward {products}", wide=frozenset({"x"}))
        found += [
            states,
            back._replace(constants=tile | {"SPAN": 1, "REVERSE": True}),
            Build(f"vector_scores {products}", vector_decay.vector_scores, score, 4),
            Build(f"vector_read {products}", vector_decay.vector_read, tile | deep | span, warps),
            Build(f"vector_input_gradients {products}", backward.vector_input_gradients, tile | deep, warps),
            Build(f"vector_key_gradients {products}", backward.vector_key_gradients, tile | blocks, 4),
        ]
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": 64}
    part = boundaries.slice_of(headdim * d_state)
    passing = {"ELEMENTS": headdim * d_state, "SLICE": part, "CHANNELS": d_state, "CLIP": False, "SUMS": False}
    return [
        *found,
        Build("pass_states channels", boundaries.pass_states, passing, boundaries.warps_of(part)),
        Build("vector_norms", vector_decay.vector_norms, tile | span, 4),
        Build("vector_decay_gradients", backward.vector_decay_gradients, tile, 8),
    ]


def channel_builds() -> list[Build]:
    """What channels of Mamba-1 and of the LRU launch."""
    channels = {"WIDTH": 32, "D_STATE": 16, "CHANNELS": 16, "CHUNK": 64}
    turning = {"WIDTH": 128, "CHUNK": 64}
    passing = {"ELEMENTS": 16, "SLICE": 16, "CHANNELS": 16, "CLIP": False, "SUMS": True}
    return [
        Build("pass_states selective", boundaries.pass_states, passing, boundaries.warps_of(16)),
        Build("selective_states", selective.selective_states, channels, 4),
        Build("selective_read", selective.selective_read, channels | {"NORMS": True}, 4),
        Build("diagonal_states", diagonal.diagonal_scan_chunk, turning | {"READ": False, "NORMS": False}, 4),
        Build("diagonal_read", diagonal.diagonal_scan_chunk, turning | {"READ": True, "NORMS": True}, 4),
        Build("diagonal_carry", diagonal.diagonal_carry, {"WIDTH": 128}, 4),
    ]


def cell_builds() -> list[Build]:
    """What the loops of an LSTM of 112 units in bfloat16 and of a GRU of 64 in float32 launch."""
    found = []
    for name, sizes in (("lstm", Sizes(False, 64, 112, "bf16")), ("gru", Sizes(True, 64, 64, "tf32x3"))):
        constants = {key: value for key, value in sizes.launch.items() if not key.startswith("num_")}
        warps = sizes.launch["num_warps"]
        back = Build(f"cell_backward {name}", cells_backward.cell_backward, constants, warps, spills="cells")
        forward = {"KEEP": True}
        found += [back._replace(name=f"cell_forward {name}", kernel=cells.cell_forward, constants=constants | forward)]
        found += [back]
    return found


def low_rank_builds(headdim: int, d_state: int) -> list[Build]:
    """What delta rules launch; Gated DeltaNet and Kimi delta attention have heads of 128 by 128."""
    found = []
    size, blocks = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": 64}, {"BLOCK": vector_decay.BLOCK}
    for products, channels in product(("bf16", "tf32x3"), (1, d_state)):
        kind = products if channels == 1 else f"channels {products}"
        warps = scalar_decay.launch(products)["num_warps"]
        deep = {"DEPTH": min(scalar_decay.depth(products), headdim)}
        carried, read_rows = ({"ROWS": rows} for rows in low_rank.slices(products, headdim, channels))
        spills = "tf32x3 by registers" if products == "tf32x3" else ""
        solver, carrier, reader = low_rank_solve.low_rank_solve, low_rank.low_rank_carry, low_rank.low_rank_read
        for reverse in False, True:
            name = f"{'backward ' if reverse else ''}{kind}"
            tile = size | {"CHANNELS": channels, "PRODUCTS": products, "REVERSE": reverse}
            wide = frozenset({"values"} if reverse else ())
            carry = tile | carried | {"GIVEN": reverse}
            found += [
                Build(f"low_rank_solve {name}", solver, tile | deep | blocks, warps, wide | {"erasing"}, spills),
                Build(f"low_rank_carry {name}", carrier, carry, 8, wide, spills),
                Build(f"low_rank_read {name}", reader, tile | deep | read_rows, warps, wide),
            ]
        score = {"D_STATE": d_state, "CHUNK": 64, "PRODUCTS": products}
        keys = size | read_rows | {"PRODUCTS": products, "WRITTEN": True, "SELF": True, "MORE_SELF": False}
        if channels == 1:
            scores, gradients, tiled = low_rank_solve.low_rank_scores, low_rank_backward.low_rank_key_gradients, deep
        else:
            scores, gradients, tiled = low_rank_channel_scores, low_rank_channel_key_gradients, blocks
            reading = keys | tiled | {"WRITTEN": False, "MORE_SELF": True}
            found.append(Build(f"low_rank_keys forward {kind}", gradients, reading, 8))
        found += [
            Build(f"low_rank_scores {kind}", scores, score | tiled, warps),
            Build(f"low_rank_keys {kind}", gradients, keys | tiled, 8, frozenset({"values"})),
        ]
    found += [
        Build("low_rank_norms", low_rank.low_rank_norms, size | {"CHANNELS": 1}, 8),
        Build("low_rank_norms channels", low_rank.low_rank_norms, size | {"CHANNELS": d_state}, 8),
        Build("low_rank_decays", low_rank_backward.low_rank_decay_gradients, size | {"DEPTH": min(32, headdim)}, 4),
        Build("low_rank_decays channels", backward.vector_decay_gradients, size, 8),
    ]
    return found


def compiled(build: Build, architecture: int) -> dict[str, Any]:
    """Compile and read the resources off the machine code: registers and stack per thread, shared bytes per program."""
    products = "*fp32" if build.constants.get("PRODUCTS") == "tf32x3" or "diagonal" in build.name else "*bf16"

    def kind(name: str) -> str:
        if name in build.constants:
            return "constexpr"
        if name in INTEGERS | FLOATS:
            return "i32" if name in INTEGERS else "fp32"
        if name == "slots":
            return "*i32"
        return products if name in HALF - build.wide else "*fp32"

    signature = {name: kind(name) for name in build.kernel.arg_names}
    aligned = {(place,): [["tt.divisibility", 16]] for place, of in enumerate(signature.values()) if of.startswith("*")}
    source = ASTSource(fn=build.kernel, signature=signature, constexprs=build.constants, attrs=aligned)
    options = {"num_warps": build.warps, "num_stages": 1}
    binary = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    registers, stack = resources(binary.asm["cubin"])
    shared = binary.metadata.shared
    spill = SPILL_LIMIT[build.spills or build.constants.get("PRODUCTS", "bf16")][architecture]
    fits = stack <= spill and registers <= 255 and shared <= SHARED_LIMIT[architecture]
    found = {"registers": registers, "stack": stack, "shared": shared, "fits": fits}
    return {"kernel": build.name, "architecture": architecture, **found}


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers and stack bytes of a thread, from ``cuobjdump`` as it ships with Triton."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        shown = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", shown.stdout + shown.stderr)
    if found is None:
        raise ValueError(f"cuobjdump shows no resources: {shown.stdout[:200]}")
    return int(found[1]), int(found[2])


def main() -> None:
    """Compile what the arguments ask for, one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--arch", type=int, choices=ARCHITECTURES, action="append")
    parser.add_argument("--kernel", default="", help="only kernels in whose name this expression is found")
    parser.add_argument(
        "--headdim", type=int, help="compile for heads of this shape, with spills reported, not limited"
    )
    parser.add_argument("--d-state", type=int)
    chosen = parser.parse_args()
    fits = True
    for architecture in chosen.arch or ARCHITECTURES:
        for build in builds(chosen.headdim, chosen.d_state):
            if re.search(chosen.kernel, build.name):
                line = compiled(build, architecture)
                fits = fits and line["fits"]
                print(json.dumps(line), flush=True)
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()
