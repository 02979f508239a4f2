"""Does the document lead the memory into unexplored states?

Models fail in states unseen in training. Each state of the document is compared with a sample of the explored states:
it is unexplored if its nearest neighbours there are farther away than those of explored states are (the idea is that of
Ruiz & Gu, arXiv 2507.02782). The maps show the same states on a plane, where positions prove nothing.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from model.diagnostics.state_map import StateMap
from model.messages import message
from model.recording.reader import Recording
from model.recording.schema import CHUNK
from viz.app.language import language, plain, t
from viz.app.session import explored_origin, text_of
from viz.app.theme import EXPLORED, is_dark
from viz.figures.reference import reference_of
from viz.figures.states import map_figure
from viz.jobs.registry import Job, waiting_before
from viz.jobs.state_map import Scores, States, pca_map, scores, start_umap, umap_job, umap_map
from viz.pages.state_map import out_of_distribution
from viz.pages.state_map.figures import novelty_figure
from viz.ui.chart import chart
from viz.ui.controls import choice, layer_choice, newly_clicked
from viz.ui.fold import fold
from viz.ui.moment import choose_moment, mark_moment, mark_state, moment_of
from viz.ui.places import place_of

AROUND = 200
"""Characters of the document that are shown on either side of a chosen state."""
COLOURS = ("class", "position")


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    states = recording.state_layers
    if not states:
        st.info(t("state_map.cache"), icon=":material/explore_off:")
        return
    known = reference_of(recording)
    position = recording.array("snapshot_position")
    if known is None:
        st.info(t("state_map.no_reference"), icon=":material/explore_off:")
        return
    if not len(position):
        st.info(t("state_map.no_snapshots"), icon=":material/explore_off:")
        return
    summary = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = layer_choice(states, key="map_layer")
        colour = choice(
            t("state_map.colour"),
            COLOURS,
            key="map_colour",
            words=lambda option, locale: message(f"state_map.colour_{option}", locale),
        )
        log_x = st.toggle(t("ui.curves.log_x"), value=True, key="map_log_x", bind="query-params")
    if len(states) < len(recording.meta.layers):
        st.caption(t("state_map.hybrid"))
    shown = States(recording, known, layer)
    with summary, st.spinner(t("state_map.measuring")):
        found, plane = scores(shown), pca_map(shown)
    with summary:
        _summary(found, layer, position, recording)
    st.caption(t("state_map.caution"))
    origin = explored_origin(recording.experiment.model)
    if origin is not None:
        st.info(origin, icon=":material/menu_book:")
    maps = st.grid(2, min_column_width=360)
    with maps.cell():
        clicks = [_map_chart(shown, plane, found, colour == "position")]
    with maps.cell():
        clicks.append(_umap_panel(shown, found, colour == "position"))
    clicks.append(_novelty_chart(recording, found, position, log_x))
    for row in clicks:
        if row is not None:  # before the slider that shows it is drawn
            st.session_state["map_at"], st.session_state["map_text"] = int(position[row]), True
            choose_moment(int(position[row]) - 1)
            st.rerun()
    with fold(t("state_map.text_title"), key="map_text", icon=":material/article:") as opened:
        if opened:
            _text_there(recording, found, position)
    with fold(t("ui.spans.title"), key="map_spans", icon=":material/explore_off:") as opened:
        if opened:
            out_of_distribution.render(States(recording, known, None))


def slide(recording: Recording) -> None:
    """How much of the document is outside the explored states, and the map of them."""
    known = reference_of(recording)
    if known is None or not len(recording.array("snapshot_position")):
        st.title(t("state_map.slide_unknown"), anchor=False)
        cache = not recording.state_layers
        why = "cache" if cache else "no_reference" if known is None else "no_snapshots"
        st.caption(t(f"state_map.{why}"))
        return
    states = States(recording, known, None)
    found, plane = scores(states), pca_map(states)
    share = found.unexplored
    key = "unknown" if share is None else "much" if share > 0.05 else "little"
    st.title(t(f"state_map.slide_{key}", share=share), anchor=False)
    st.caption(t("state_map.slide_help"))
    _map_chart(states, plane, found, False, height=540)


def _summary(found: Scores, layer: int | None, position: np.ndarray, recording: Recording) -> None:
    """One sentence, the key figures, and how the states were sampled."""
    share = found.unexplored
    if share is None:
        st.markdown(t("state_map.finding_unknown"))
    else:
        st.markdown(t("state_map.finding_much" if share > 0.05 else "state_map.finding_little", share=share))
    with st.container(horizontal=True):
        unknown = t("state_map.unknown")
        _figure("unexplored_share", unknown if share is None else f"{share:.0%}")
        _figure("coverage", unknown if found.coverage is None else f"{found.coverage:.0%}")
        known = found.novelty[np.isfinite(found.novelty)]
        _figure("largest", f"{known.max():.1f}" if len(known) else unknown)
    boundaries = -(-recording.read_tokens // CHUNK)
    key = "state_map.sampled" if len(position) < boundaries else "state_map.complete"
    words = {"shown": len(position), "boundaries": boundaries, "chunk": CHUNK}
    st.caption(t(key, **words) + " " + t("state_map.whole" if layer is None else "state_map.one_layer", layer=layer))


def _figure(name: str, value: str) -> None:
    st.metric(t(f"state_map.{name}"), value, help=t(f"state_map.{name}_help"), border=True)


def _map_chart(
    states: States, found: StateMap, scored: Scores, by_position: bool, height: int | None = None
) -> int | None:
    """One map; returns the row of the state that was clicked just now. On a slide of a certain ``height``, large."""
    position = states.recording.array("snapshot_position")
    table = pd.DataFrame(
        np.concatenate([found.explored_xy, found.document_xy]), columns=[f"{found.method}_1", f"{found.method}_2"]
    )
    reference = len(found.explored_xy)
    table.insert(0, "state", ["explored"] * reference + ["document"] * len(position))
    table.insert(1, "tokens_read", [*states.explored.position, *position])
    table["novelty"] = [*[np.nan] * reference, *scored.novelty]
    new = int((scored.novelty > 1).sum())
    drawn = map_figure(found, scored.novelty, position, by_position=by_position, language=language(), dark=is_dark())
    if height is None:
        mark_state(drawn, states.recording, position, found.document_xy, is_dark())
    event = chart(
        drawn,
        key=f"map_{found.method}",
        title=t(f"state_map.{found.method}_title", kept=found.kept),
        explanation=t(f"state_map.{found.method}_explanation") + "\n\n" + t("state_map.map_explanation"),
        alt=t("state_map.map_alt", method=found.method.upper(), states=len(position), reference=reference, new=new),
        data=table,
        selectable=True,
        slide=height,
    )
    return None if height else _row(newly_clicked(event, f"map_{found.method}_seen"))


def _row(point: dict[str, object] | None) -> int | None:
    """The snapshot of a clicked point."""
    data = point.get("customdata") if point else None
    if isinstance(data, Mapping):  # what the browser makes of a row of a typed array
        data = list(data.values())
    return int(data[0]) if isinstance(data, list) and data else None


def _umap_panel(states: States, scored: Scores, by_position: bool) -> int | None:
    """The UMAP if there is one; else the job that makes it, or the button that starts it."""
    made = umap_map(states)
    if made is not None and made.reason:
        st.info(t(f"state_map.{made.reason}"), icon=":material/info:")
        return None
    if made is not None:
        return _map_chart(states, made, scored, by_position)
    making = umap_job(states)
    making.collect()
    job = making.job
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{t('state_map.umap_heading')}**")
        if job is not None and not job.stopped():
            _progress(job)
            return None
        making.show_failure()
        st.markdown(t("state_map.umap_invitation"))
        if st.button(t("state_map.compute"), key="map_compute", icon=":material/play_arrow:", type="primary"):
            start_umap(states)
            st.rerun()
    return None


@st.fragment(run_every=0.5)
def _progress(job: Job) -> None:
    """How far the map is; draws the page anew when it is there."""
    if not job.active:
        st.rerun()
    waiting = waiting_before(job)
    st.progress(job.fraction, t("state_map.waiting", waiting=waiting) if waiting else t("state_map.computing"))
    if st.button(t("state_map.cancel"), key="map_cancel", icon=":material/stop:"):
        job.cancel()
        st.rerun()


def _novelty_chart(recording: Recording, found: Scores, position: np.ndarray, log_x: bool) -> int | None:
    """Novelty over the document; returns the row of the state that was clicked just now."""
    if np.isnan(found.novelty).all():
        return None
    new = found.novelty > 1
    first = t("state_map.first", at=int(position[new.argmax()])) if new.any() else t("state_map.never")
    drawn = novelty_figure(found.novelty, position, train_length=recording.train_length, log_x=log_x, dark=is_dark())
    event = chart(
        mark_moment(drawn, recording, dark=is_dark()),
        key="map_novelty",
        title=t("state_map.novelty_title"),
        explanation=t("state_map.novelty_explanation"),
        alt=t("state_map.novelty_alt", new=int(new.sum()), states=len(new), first=first),
        data=pd.DataFrame({"tokens_read": position, "novelty": found.novelty}),
        selectable=True,
    )
    return _row(newly_clicked(event, "map_novelty_seen"))


def _text_there(recording: Recording, found: Scores, position: np.ndarray) -> None:
    """The document at a chosen state: a click chooses it, or the slider from the keyboard."""
    first, last = int(position[0]), int(position[-1])
    if first == last:
        return
    with st.container():
        if "map_at" not in st.session_state and "map_at" not in st.query_params:  # until one is chosen: the newest
            st.session_state["map_at"] = int(position[np.nan_to_num(found.novelty, nan=0).argmax()])
        moment = moment_of(recording)
        if moment is not None and st.session_state.get("map_moment") != moment:  # chosen on another page
            st.session_state["map_at"] = int(position[np.abs(position - (moment + 1)).argmin()])
        st.session_state["map_moment"] = moment

        def look() -> None:
            choose_moment(min(st.session_state["map_at"], recording.read_tokens) - 1)

        at = st.slider(
            t("state_map.text_at"),
            first,
            last,
            step=CHUNK,
            key="map_at",
            bind="query-params",
            format="%,d",
            on_change=look,
        )
        row = int(np.abs(position - at).argmin())
        tokens = int(position[row])
        boundary = int(np.searchsorted(recording.array("position"), tokens))
        character = int(recording.array("character")[boundary])
        st.markdown(t("state_map.text_where", tokens=tokens, character=character, novelty=found.novelty[row]))
        if place := place_of(recording, tokens):
            st.caption(plain(place))
        text = text_of(recording)
        if text is None:
            st.info(t("state_map.no_text"), icon=":material/visibility_off:")
            return
        before, after = text[max(0, character - AROUND) : character], text[character : character + AROUND]
        bar = f'<span style="color: {EXPLORED}" title="{html.escape(t("state_map.text_here"))}">&#9613;</span>'
        unread = f'<span style="opacity: 0.6">{html.escape(after)}…</span>'
        quoted = f"…{html.escape(before)}{bar}{unread}"
        st.html(f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">{quoted}</div>')
