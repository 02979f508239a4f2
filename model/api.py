"""What a notebook calls: read a file into a recording, open one, and find the strategy that suits a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model.diagnostics.token_table import token_table as table_of_tokens
from model.documents.document import read_path
from model.documents.token_ids import read_token_ids
from model.experiment import Strategy
from model.reading.prepare import Options, prepare
from model.reading.runner import Progress, run
from model.recording.reader import Recording
from model.studies.diagnose import Diagnosis
from model.studies.diagnose import diagnose as diagnose_document

if TYPE_CHECKING:
    from pandas import DataFrame
    from tokenizers import Tokenizer


def read(
    path: str | Path,
    model: str = "mamba2-base",
    out: str | Path = "recordings",
    *,
    initial_state: str = "zeros",
    source: str | Path | None = None,
    mitigations: Mapping[str, float] | None = None,
    seed: int = 0,
    token_norms: bool = False,
    attention_window: int | None = None,
    off: Sequence[str] = (),
    tokenizer: Tokenizer | None = None,
    token_ids: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Recording:
    """Read the document at ``path`` with ``model`` and return its recording, a folder below ``out``.

    ``model`` is a name of :func:`model.available`, a folder, or a downloaded hub name. ``mitigations`` maps names of
    :data:`model.MITIGATIONS` to strengths; ``source`` is the recording whose final state "carried" starts from.
    ``attention_window`` is how many tokens attention of a hybrid sees at most, 0 for all, None for its training length;
    ``off`` names parts that are switched off, as "layer:3" or "attention".
    ``tokenizer``, of the library tokenizers, replaces that of the model; it must use the model's vocabulary.
    ``token_ids`` says that the file holds ids of tokens (:mod:`model.documents.token_ids`). The same
    experiment is read once: a second call returns what is there, and continues what was interrupted.
    UserError, with one sentence, for whatever does not fit.
    """
    prepared = prepare(
        read_token_ids(path) if token_ids else read_path(path, allow_blank=True),
        model,
        Strategy.of(initial_state, mitigations, seed=seed),
        Options(token_norms=token_norms, attention_window=attention_window, off=tuple(off)),
        source=None if source is None else Path(source),
        tokenizer=tokenizer,
    )
    return run(prepared, Path(out), on_progress=on_progress)


def diagnose(
    path: str | Path,
    model: str = "mamba2-base",
    out: str | Path = "recordings",
    *,
    recall: bool = True,
    workers: int | None = None,
    on_progress: Callable[[Diagnosis, int, int], None] = lambda diagnosis, done, total: None,
) -> Diagnosis:
    """Read the document at ``path`` with every sensible strategy for ``model``, and return which to use and why.

    Each strategy is a recording below ``out``, the diagnosis a JSON file in ``out``/diagnoses, which
    :func:`model.studies.diagnose.load` opens. ``recall`` also tests passkeys; ``workers`` strategies are read side by
    side. ``on_progress`` gets what there is so far, the tokens read and those to read. What is there already is not
    read again. UserError, with one sentence, for whatever does not fit.
    """
    return diagnose_document(
        read_path(path, allow_blank=True), model, Path(out), recall=recall, workers=workers, report=on_progress
    )


def token_table(recording: Recording, document: str | Path | None = None) -> DataFrame:
    """One row a token that ``recording`` read: text, losses, state norm of every layer, decay, novelty, as pandas.

    ``document`` is the file that was read, whose places, as "page 12", are in it, too. UserError for another document.
    """
    opened = None if document is None else read_path(document, allow_blank=True)
    return table_of_tokens(recording, document=opened).to_pandas()


def open_recording(path: str | Path) -> Recording:
    """The recording in the folder ``path``; UserError if it is none."""
    return Recording(Path(path))
