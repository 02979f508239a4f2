"""From what was typed into the search box to a query: words on the screen stand for names in the catalogue."""

from __future__ import annotations

from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS
from model.recording.catalogue import fold
from viz.app import session
from viz.app.language import t


def search_words(typed: str) -> tuple[tuple[str, ...], ...]:
    """The words of ``typed``, each with the names that are shown by it in the session's language.

    The catalogue says "decay" and "collapses" in every language, and calls a sample by its file.
    """
    shown = {name: t(f"mitigations.{name}_title") for name in MITIGATIONS}
    shown |= {name: t(f"initial_states.{name}_title") for name in INITIAL_STATES}
    shown |= {name: t(f"recordings.verdict_{name}") for name in session.VERDICTS}
    shown |= session.sample_titles()
    folded = {name: fold(title) for name, title in shown.items()}
    return tuple(
        (word, *(name for name, title in folded.items() if fold(word) in title)) for word in typed.split()[:12]
    )
