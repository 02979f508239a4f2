"""A recorder asks for the boundary states that it looks at; what it records does not depend on getting only these."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from kernels import dispatch
from kernels.cpu.chunked import chunked_scan
from kernels.types import CHUNK, Memory, Scan, ScanInputs, ScanOutput, Telemetry
from model.reading.telemetry import Recorder, Sketcher, mean_decay, reduce_states
from tests.kernels import test_low_rank as delta
from tests.kernels.test_scans import Case, case

TOKENS = 700
SNAPSHOTS = np.array([CHUNK, 5 * CHUNK, 6 * CHUNK, TOKENS], np.int32)
SEGMENTS = (0, 192, 256, 512, TOKENS)  # without a snapshot, with one inside, with one at the end


def with_telemetry(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """The chunked scan with the statistics that a kernel of a GPU makes."""
    whole = chunked_scan(inputs, memory, token_norms)
    assert whole.log_decay is not None
    found = (*reduce_states(whole.boundary_states[0]), *mean_decay(whole.log_decay[0]))
    return whole._replace(telemetry=Telemetry(*(values[None] for values in found)))


def sparing(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
    """The same, with the boundary states that are wanted and no others."""
    whole, wanted = with_telemetry(inputs, memory, token_norms), inputs.boundaries
    assert wanted is not None and wanted[-1] == whole.boundary_states.shape[1] - 1
    return whole._replace(boundary_states=whole.boundary_states[:, wanted], boundaries=wanted)


def record(kernel: Scan, given: Case) -> list[dict[str, tuple[int, np.ndarray]]]:
    nheads = given.memory.state.shape[1]
    sketcher = Sketcher(given.memory.state[0].numel(), torch.ones(1, nheads))
    recorder = Recorder(["mamba2"], SNAPSHOTS, sketcher)
    [scan], memory, taken = recorder.scans([kernel], True), given.memory, []
    for start, stop in pairwise(SEGMENTS):
        memory = scan(given.inputs.segment(start, stop), memory).memory
        taken.append(recorder.take(stop - start))
    return taken


def test_a_recording_is_the_same_from_the_states_that_are_wanted_alone() -> None:
    given = case(TOKENS, dtype=torch.float32)
    few, every = record(sparing, given), record(with_telemetry, given)
    assert sum("sketch" in part for part in every) == 3
    for ours, theirs in zip(few, every, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name][0] == theirs[name][0]
            np.testing.assert_array_equal(ours[name][1], theirs[name][1])


def test_a_delta_rule_is_asked_for_every_state() -> None:
    asked = []

    def spied(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        asked.append(inputs.boundaries)
        return chunked_scan(inputs, memory, token_norms)

    record(spied, Case(*delta.case("per head", TOKENS)))
    assert asked == [None] * 4


def test_a_plain_reading_asks_for_the_last_state_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spied(inputs: ScanInputs, memory: Memory, token_norms: bool, **options: int) -> ScanOutput:
        asked.append(inputs.boundaries)
        return chunked_scan(inputs, memory, token_norms, **options)

    monkeypatch.setattr(dispatch, "chunked_scan", spied)
    given = case(TOKENS)
    output = dispatch.scan_to_end(*given)
    assert [places.tolist() for places in asked if places is not None] == [[11]]
    assert torch.equal(output.memory.state, chunked_scan(*given).memory.state)


def test_pieces_of_inputs_ask_for_all_states_again() -> None:
    inputs = case(TOKENS).inputs._replace(boundaries=torch.tensor([11]))
    assert inputs.segment(0, 64).boundaries is None and inputs.forgetting(power=2.0).boundaries is not None
