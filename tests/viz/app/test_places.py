"""Places of a document on its charts, and of its onset; none where the document is not here."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from model.documents.document import Document
from model.documents.pieces import Place
from model.reading.runner import run
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text
from viz.app import session
from viz.ui.places import name_places, place_of, places_of

TEXT = tiny_text(700, seed=3)


@pytest.fixture
def recording(home, tmp_path, monkeypatch):
    """A recording of a document of two pages that is here."""
    make_tiny_checkpoint(home)
    made = Document.of(TEXT, "notes.pdf")
    places = (Place(0, (("page", 1),)), Place(len(TEXT) // 2, (("page", "<b>2</b>"),)))
    monkeypatch.setattr(session, "document_of", lambda sha256: "here" if sha256 == made.sha256 else None)
    paged = Document(name=made.name, text=TEXT, sha256=made.sha256, encoding=None, media="pdf", size=1, places=places)
    monkeypatch.setattr(session, "document", lambda key: paged)
    monkeypatch.setattr("viz.ui.places.language", lambda: "en")
    return run(prepared(TEXT, "tiny", control=False), tmp_path)


def test_tokens_have_the_places_of_their_characters(recording):
    last = recording.read_tokens
    assert places_of(recording, [0, last]) == ["page 1", "page <b>2</b>"]
    assert place_of(recording, last // 4) == "page 1"


def test_a_chart_names_places_and_no_markup_of_a_document(recording):
    position = recording.array("position")
    figure = go.Figure().add_scatter(x=position, y=position)
    named = name_places(figure, recording).data[-1]
    assert named.text[0] == "page 1" and named.text[-1] == "page &lt;b&gt;2&lt;/b&gt;" and named.opacity == 0
    assert name_places(go.Figure(), recording).data == ()


def test_a_document_that_is_gone_has_no_places(recording, monkeypatch):
    monkeypatch.setattr(session, "document_of", lambda sha256: None)
    assert place_of(recording, 3) == "" and len(name_places(go.Figure().add_scatter(x=[1], y=[1]), recording).data) == 1
