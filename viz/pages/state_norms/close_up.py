"""A range of the document at the full resolution of the recording.

The charts of a whole document keep only the peaks. Here a range is read again from the recording: every boundary, or
every token where exact norms were recorded.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from model.recording.reader import Recording
from model.recording.schema import CHUNK
from viz.app.language import t
from viz.app.theme import is_dark, template
from viz.pages.state_norms.heads import draw_heads
from viz.ui.chart import chart
from viz.ui.curves import hover_mode, ink, kept_rows, label_ends, position_axis

ELEMENTS = 1 << 24
"""Numbers of exact norms that are read at once: 64 MB."""


@st.fragment
def render(recording: Recording, layer: int, head: int) -> None:
    """Draw the close-up of ``layer``, with ``head`` highlighted; moving the range redraws nothing else."""
    end = recording.read_tokens
    if end < 2 * CHUNK:
        return
    suggested = (0, min(end, 8 * recording.train_length))
    first, last = st.slider(
        t("state_norms.close_up.range"),
        0,
        end,
        suggested,
        step=CHUNK,
        key="norms_range",
        bind="query-params",
        format="%,d",
    )
    last = min(end, max(last, first + CHUNK))
    exact = recording.has("token_norm")
    if exact:
        last = min(last, first + ELEMENTS // (len(recording.meta.layers) * recording.meta.nheads))
    position, norm = (
        token_norms(recording, layer, first, last) if exact else boundary_norms(recording, layer, first, last)
    )
    loss = recording.array("loss")[first:last]
    peak = np.unravel_index(np.nanargmax(norm), norm.shape)
    heads = {f"head {index}": norm[:, index] for index in range(norm.shape[1])}
    chart(
        figure(position, norm, first, loss, head=head, dark=is_dark()),
        key="norms_close_up",
        title=t("state_norms.close_up.title", layer=layer, first=first, last=last),
        explanation=t("state_norms.close_up.exact" if exact else "state_norms.close_up.boundaries", chunk=CHUNK),
        alt=t("state_norms.close_up.alt", layer=layer, peak=norm[peak], head=int(peak[1]), at=int(position[peak[0]])),
        data=pd.DataFrame({"tokens_read": position, **heads}),
    )


def token_norms(recording: Recording, layer: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens read, (n,), and the exact norm after each, (n, head), of the tokens ``first`` to ``last``."""
    return np.arange(first + 1, last + 1), recording.rows("token_norm", first, last)[:, layer]


def boundary_norms(recording: Recording, layer: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens read, (n,), and the norm there, (n, head), at the boundaries from ``first`` to ``last``."""
    position = recording.array("position")
    rows = slice(*np.searchsorted(position, [first, last + 1]))
    return position[rows], recording.array("norm")[rows, layer]


def figure(position: np.ndarray, norm: np.ndarray, first: int, loss: np.ndarray, *, head: int, dark: bool) -> go.Figure:
    """The norm of each head, (n, head) at ``position`` (n,), over the loss (token) of the tokens from ``first`` on."""
    drawn = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.65, 0.35])
    ends = draw_heads(drawn, position, norm, head)
    rows = kept_rows(np.arange(len(loss)), loss)
    x, line = (first + 1 + rows).astype(np.int32), {"color": ink(dark), "width": 1}
    drawn.add_scatter(x=x, y=loss[rows], mode="lines", name=t("ui.curves.loss_name"), line=line, row=2, col=1)
    drawn.update_layout(
        template=template(dark), height=460, hovermode=hover_mode(norm.shape[1]), margin={"r": 76, "t": 28}
    )
    drawn.update_xaxes(range=[first, first + len(loss)])
    drawn.update_xaxes(**position_axis(False, tickformat=",d"), row=2, col=1)
    drawn.update_yaxes(title_text=t("state_norms.norm"), row=1, col=1)
    drawn.update_yaxes(title_text=t("figures.loss"), rangemode="tozero", row=2, col=1)
    label_ends(drawn, ends, log_x=False, log_y=False, share=0.065)
    return drawn
