"""Folders of recordings that are nothing but their metadata, by the thousand; ``python -m tests.support.catalogue``
measures how long ten thousand of them take to list."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from model.experiment import Experiment, Strategy
from model.json_file import write_sealed
from model.recording.catalogue import Catalogue, Query
from model.recording.reader import COMPLETE, Meta

MITIGATIONS = ((), (("decay", 4.0),), (("window", 256.0),), (("insertion", 0.75), ("retention", 0.999)))
AN_HOUR_AGO = time.time() - 3600


def bare_recording(folder: Path, number: int, *, title: str = "", **changes: str) -> Path:
    """A folder with ``recording.json`` and ``progress.json``, an hour old; different for every ``number``."""
    document = f"report-{number % 97:02d}.txt"
    experiment = Experiment(
        document=hashlib.sha256(document.encode()).hexdigest(),
        tokens=1000 + number,
        model=("mamba2-base", "gated-deltanet-base")[number % 2],
        weights="0" * 16,
        train_length=256,
        strategy=Strategy(mitigations=MITIGATIONS[number % len(MITIGATIONS)], seed=number),
    )
    ratio = 1 + (number % 50 - 10) / 100
    meta = Meta(
        title=title or document,
        experiment=experiment,
        document_name=document,
        characters=5000,
        layers=("mamba2",) * 2,
        nheads=4,
        headdim=16,
        d_state=16,
        **{"status": COMPLETE, "created": f"2026-01-01T{number % 86400:05d}", **changes},
        summary={"excess_ratio": ratio, "case": "collapses" if ratio > 1.2 else "holds"},
    )
    path = folder / experiment.key
    path.mkdir(parents=True)
    meta.write(path)
    write_sealed(path / "progress.json", {"tokens": experiment.tokens})
    for file in (*path.iterdir(), path):
        os.utime(file, (AN_HOUR_AGO, AN_HOUR_AGO))
    return path


def main(count: int = 10_000) -> None:
    """Print the seconds of the first list, which reads every folder, and of the next ones."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in range(count):
            bare_recording(folder, number)
        opened = Catalogue(folder, lambda summary: summary["case"])

        def timed(what: str, query: Query) -> None:
            began, worked = time.perf_counter(), time.process_time()
            opened.refresh(now=True)
            found = len(opened.find(query))
            spent, worked = time.perf_counter() - began, time.process_time() - worked
            print(f"{what:30s} {spent:6.3f} s, of a processor {worked:6.3f} s, {found} found")

        timed("first list, catalogue lost", Query())
        timed("all, unchanged folders", Query())
        timed("all, by title", Query(sort="title", descending=False))
        timed("500, by excess loss", Query(sort="excess", limit=500))
        timed("500 that hold two words", Query(words=(("decay",), ("collapses",)), limit=500))
        opened = Catalogue(folder)
        timed("all, opened anew", Query())


if __name__ == "__main__":
    main()
