"""LSTM and GRU of the Triton kernels against the plain loop, under the interpreter: one JSON line a tensor.

``python -m tests.support.interpreted_cells``, a process of its own, because Triton decides when it decorates a kernel
whether it is interpreted.
"""

import json
import os

os.environ["TRITON_INTERPRET"] = "1"

import torch

from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.dispatch import scan
from kernels.types import Memory
from tests.support.cells import make_cell, random_state

CASES = {
    ("lstm", torch.float32): ((3, 9, 6), (17, 5, 4), (1, 1, 16)),
    ("gru", torch.float32): ((3, 9, 6), (17, 5, 4)),
    ("lstm", torch.bfloat16): ((2, 6, 28),),
    ("gru", torch.bfloat16): ((2, 6, 6),),
}
"""Rows, tokens and units of a head, of four heads each: units and rows that are no power of two."""
TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 3e-2}

for (name, dtype), sizes in CASES.items():
    for rows, seqlen, headdim in sizes:
        mixer = make_cell(name, headdim=headdim, expand=4 * headdim / 12).float()
        mixer.in_proj.weight.data = mixer.in_proj.weight.data.to(dtype)
        state = random_state(mixer, rows)
        x = torch.randn(rows, seqlen, mixer.config.d_model).to(dtype)

        def results(mixer, x, state, run):
            x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
            output = run(CellInputs(mixer, x), Memory(state))
            loss = output.y.square().sum() + output.boundary_states.sin().sum()
            names = ("x", "state", "in_proj", "recurrent", "bias", "recurrent_bias")
            found = torch.autograd.grad(loss, (x, state, *mixer.weights()))
            with torch.no_grad():
                decay = run(CellInputs(mixer, x), Memory(state)).log_decay
            return {"y": output.y, "boundaries": output.boundary_states, "decay": decay} | {
                f"gradient of {what}": gradient for what, gradient in zip(names, found, strict=True)
            }

        ours = results(mixer, x, state, lambda *given: scan(*given, chunk=4, kernel="triton"))
        truth = results(mixer.double(), x.double(), state.double(), lambda *given: step_loop(*given, chunk=4))
        for what, value in truth.items():
            error = float((ours[what].detach() - value.detach()).abs().max() / value.detach().abs().max())
            line = {"case": f"{name} {dtype} {rows} {seqlen} {headdim}", "what": what, "error": error}
            print(json.dumps(line | {"passed": error <= TOLERANCE[dtype]}), flush=True)
