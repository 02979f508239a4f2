"""What the dashboard opens with: ``python -m tests.stored`` reads the samples again and stores what was seen.

Recordings with their maps, passkey results and effective remembrance, all with the shipped model, and the evidence of
all shipped models. Needed whenever weights change, for everything stored names the weights it was made with.
``python -m tests.stored evidence`` writes the evidence alone, ``... diagnoses`` the diagnoses.
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from model.checkpoints.catalogue import DEFAULT, load_tokenizer_of, model_card
from model.diagnostics.explored import Explored
from model.diagnostics.state_map import UMAP, project
from model.documents.document import read_path
from model.experiment import Strategy
from model.reading.prepare import prepare
from model.reading.runner import run
from model.studies.diagnose import diagnose, file_of
from model.studies.diagnose.result import FOLDER
from model.studies.effective_context import EffectiveContextResult, measure
from model.studies.evidence import begin, run_evidence
from model.studies.evidence.run import samples as evidence_samples
from model.studies.passkey.run import reader_of, store_samples
from model.tokenizer import encode
from sample_data import sample_path
from viz.app.session import SHIPPED as RECORDINGS
from viz.jobs.evidence import STORED as EVIDENCE
from viz.jobs.state_map import States, _file, _store
from viz.pages.effective_context.job import CONTEXT, task_of

READ = ("plant_log_ja", "equipment_spec_en")
MITIGATED: tuple[dict[str, float], ...] = ({}, {"state_norm": 1.0}, {"window": 256.0})


def main() -> None:
    """Write everything anew, or the evidence alone."""
    if sys.argv[1:] == ["diagnoses"]:
        store_diagnoses()
        return
    store_evidence()
    if sys.argv[1:] == ["evidence"]:
        return
    samples = RECORDINGS.parent
    for folder in (RECORDINGS, CONTEXT.shipped, samples / "passkey"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    explored = Explored.load(model_card(DEFAULT).explored)
    for sample in READ:
        document = read_path(sample_path(sample))
        tokens, _ = encode(load_tokenizer_of(DEFAULT), document.text)
        for settings in MITIGATED:
            recording = run(prepare(document, DEFAULT, Strategy.of(mitigations=settings)), RECORDINGS)
            print(sample, settings, {key: recording.summary[key] for key in ("loss_beyond", "excess_loss")}, flush=True)
            states = States(recording, explored, None)
            found = project(*states.sketches(), UMAP)
            assert found is not None and not found.reason
            _store(_file(states), found, states.identity)
            task = task_of(document.sha256, model_card(DEFAULT).train_length, 32, 16)
            asked = EffectiveContextResult(task=task, reader=reader_of(DEFAULT, Strategy.of(mitigations=settings)))
            measure(asked, tokens).save(CONTEXT.shipped / f"{asked.key}.json")
    store_samples(samples / "passkey", DEFAULT, mitigations=MITIGATED[1])
    store_diagnoses()


def store_diagnoses() -> None:
    """Diagnose the samples with the shipped model; their readings are not kept, but for those that are shipped."""
    shutil.rmtree(RECORDINGS / FOLDER, ignore_errors=True)
    for sample in READ:
        with tempfile.TemporaryDirectory() as folder:
            found = diagnose(read_path(sample_path(sample)), DEFAULT, Path(folder), elsewhere=[RECORDINGS])
        timeless = [replace(one, tokens_per_second=None, speed=None) for one in found.strategies]  # of another machine
        replace(found, strategies=tuple(timeless), seconds=0.0).save(file_of(RECORDINGS, found.key))
        best = found.best
        assert found.complete and best is not None
        print(sample, found.case, best.text, best.removed, f"{found.seconds:.0f} s", flush=True)


def store_evidence() -> None:
    """Measure the evidence on the shipped models and samples; it is there when it is whole, and not before."""
    begun, texts = begin(evidence_samples())
    result = run_evidence(begun, texts, keep=lambda kept: print(end=".", flush=True))
    shutil.rmtree(EVIDENCE, ignore_errors=True)
    result.save(EVIDENCE / f"{result.task.key}.json")
    print(f"\nevidence of {len(result.members)} models in {result.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
