"""State files on the page: the state at the moment to download, and another one to compare with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from model.diagnostics.state_numbers import Comparison
from model.errors import UserError
from model.recording.reader import Recording
from viz.app.language import show_error, t
from viz.pages.ask import state_job


def state_files(recording: Recording, text: str, moment: int) -> None:
    """Draw the section, folded while nothing is asked of it."""
    state_job.collect()
    with st.expander(t("ask.state_title"), icon=":material/save:", key="ask_state"):
        st.caption(t("ask.state_help"))
        file = state_job.file_of(recording, moment)
        with st.container(horizontal=True, vertical_alignment="center"):
            _download(recording, text, moment, file)
        data = st.file_uploader(t("ask.state_upload"), type=["safetensors"], key="ask_state_file")
        if data is not None:
            _compare(recording, text, moment, data.getvalue(), data.name)
    state_job.STATE.show_failure()
    state_job.STATE.show_progress()


def _download(recording: Recording, text: str, moment: int, file: Path) -> None:
    if file.exists():
        st.download_button(
            t("ask.state_download", moment=moment),
            data=file.read_bytes,
            file_name=f"state-{recording.key}-{moment}.safetensors",
            mime="application/octet-stream",
            icon=":material/download:",
            key="ask_state_download",
            on_click="ignore",
        )
    elif st.button(
        t("ask.state_prepare", moment=moment),
        key="ask_state_prepare",
        icon=":material/save:",
        disabled=state_job.STATE.active,
    ):
        _start(recording, text, moment)


def _compare(recording: Recording, text: str, moment: int, data: bytes, name: str) -> None:
    try:
        other, digest = state_job.uploaded(data, name)
    except UserError as error:
        show_error(error)
        return
    found = state_job.comparison(recording, moment, digest)
    if found is not None:
        _table(found)
    elif st.button(
        t("ask.state_compare", moment=moment),
        key="ask_state_compare",
        icon=":material/compare_arrows:",
        disabled=state_job.STATE.active,
    ):
        _start(recording, text, moment, other, digest)


def _start(recording: Recording, text: str, moment: int, other: Path | None = None, digest: str = "") -> None:
    try:
        state_job.start(recording, text, moment, other, digest)
    except UserError as error:
        show_error(error)
    else:
        st.rerun()


def _table(found: Comparison) -> None:
    """The comparison by layer and head, and its mean in a sentence."""
    ratio = found.second.norm.sum() / max(found.first.norm.sum(), 1e-30)
    st.markdown(t("ask.state_finding", angle=float(np.nanmean(found.angle)), ratio=ratio))
    layers, heads = found.angle.shape
    table = pd.DataFrame(
        {
            t("ask.column_layer"): np.repeat(np.arange(layers), heads),
            t("ask.column_head"): np.tile(np.arange(heads), layers),
            t("ask.column_angle"): found.angle.ravel(),
            t("ask.column_norm_here"): found.first.norm.ravel(),
            t("ask.column_norm_there"): found.second.norm.ravel(),
            t("ask.column_rank_here"): found.first.rank.ravel(),
            t("ask.column_rank_there"): found.second.rank.ravel(),
        }
    )
    for name, numbers in (("here", found.first), ("there", found.second)):
        if numbers.novelty is not None:
            table[t(f"ask.column_novelty_{name}")] = np.repeat(numbers.novelty, heads)
    formats = {name: st.column_config.NumberColumn(format="%.1f") for name in table.columns[2:]}
    st.dataframe(table, hide_index=True, key="ask_state_table", column_config=formats, alt=t("ask.state_title"))
