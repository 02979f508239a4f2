"""The Triton kernels on this machine: check every one, then time it.

    python -m kernels.bench                                        check, then time, on the GPU at hand
    python -m kernels.bench --check --seqlen 200 --nheads 4 --headdim 32 --d-state 64

``--check`` alone checks every kernel at one shape, under TRITON_INTERPRET=1 on a CPU too. Exits 1 on a mismatch and 2
where there is neither a GPU nor the interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

DTYPES = ("float32", "float16", "bfloat16")
AWKWARD = (
    *((1, 16, 128, 4), (63, 64, 16, 1), (65, 32, 64, 4), (200, 64, 128, 1), (300, 48, 80, 2)),
    *((130, 80, 256, 1), (70, 96, 96, 1), (70, 256, 48, 1), (130, 512, 256, 1)),
)
"""seqlen, headdim, d_state and ngroups to check at: heads that are a tile and heads that are cut into some."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kernels.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="check only, at the one shape that is given")
    parser.add_argument("--only", action="append", default=[], help="a check by its name; may be repeated")
    parser.add_argument("--seqlen", type=int, default=200)
    parser.add_argument("--nheads", type=int, default=4)
    parser.add_argument("--headdim", type=int, default=32)
    parser.add_argument("--ngroups", type=int, default=1)
    parser.add_argument("--d-state", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--json", action="store_true", help="one JSON line per comparison")
    return parser.parse_args(arguments)


def check(chosen: argparse.Namespace, device: str) -> bool:
    """Run the checks and print them; whether all passed."""
    import torch

    from kernels.bench.checks import CHECKS, Shape, run_checks

    shape = Shape(
        batch=chosen.batch,
        seqlen=chosen.seqlen,
        nheads=chosen.nheads,
        headdim=chosen.headdim,
        ngroups=chosen.ngroups,
        d_state=chosen.d_state,
        chunk=chosen.chunk,
        dtype=getattr(torch, chosen.dtype),
        device=device,
    )
    passed = True
    for name, compared in run_checks(shape, chosen.only or list(CHECKS)):
        passed = passed and compared.passed
        if chosen.json:
            print(json.dumps({"check": name, **compared._asdict(), "passed": compared.passed}), flush=True)
        else:
            word = "ok  " if compared.passed else "FAIL"
            print(f"{word} {name:20s} {compared.what:32s} {compared.error:.1e} (allowed {compared.tolerance:.0e})")
    return passed


def check_and_time(chosen: argparse.Namespace) -> bool:
    """Every check at small awkward shapes, long scans at the models' shapes, then the table; whether all passed."""
    import torch

    from kernels.bench import timing

    print(f"device: {torch.cuda.get_device_name()}, torch {torch.__version__}")
    passed = True
    for seqlen, headdim, d_state, ngroups in AWKWARD:
        for dtype in DTYPES:
            sizes = {"seqlen": seqlen, "headdim": headdim, "d_state": d_state, "ngroups": ngroups, "dtype": dtype}
            passed = check(argparse.Namespace(**vars(chosen) | sizes), "cuda") and passed
    for model in ("130M", "2.7B"):
        for tokens in (4096, 65_536, 1_048_576):
            try:
                compared = list(timing.check_long(timing.model_shape(model, tokens, "cuda")))
            except torch.OutOfMemoryError:
                print(f"---- {model}, {tokens} tokens in one call: not enough memory")
                continue
            for one in compared:
                passed = passed and one.passed
                print(f"{'ok  ' if one.passed else 'FAIL'} {model} {one.what}: {one.error:.1e}")
    if passed:
        print("| model | tokens | scan of one layer | milliseconds | tokens/s | share of the roof |")
        print("|---|---|---|---|---|---|")
        for row in timing.time_models("cuda", (4096, 65_536, 1_048_576)):
            roof = "" if row.roof is None else f"{row.roof:.0%}"
            speed = f"{row.tokens / row.seconds:,.0f}"
            print(
                f"| {row.model} | {row.tokens:,} | {row.what} | {1e3 * row.seconds:.2f} | {speed} | {roof} |",
                flush=True,
            )
    return passed


def main() -> None:
    """Check, and time unless only the check is asked for."""
    chosen = parse()
    import torch

    interpreted = os.environ.get("TRITON_INTERPRET", "0") == "1"
    if not interpreted and not torch.cuda.is_available():
        print("no GPU here: set TRITON_INTERPRET=1 to check the kernels under the interpreter", file=sys.stderr)
        sys.exit(2)
    if chosen.check or interpreted:
        sys.exit(0 if check(chosen, "cpu" if interpreted else "cuda") else 1)
    sys.exit(0 if check_and_time(chosen) else 1)


if __name__ == "__main__":
    main()
