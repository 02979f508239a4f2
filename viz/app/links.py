"""Choices in the URL by their keys, independent of their titles on the screen.

A widget that is bound to the URL writes what it displays there: a title, in one language, or the name of a
confidential file. Where the display is not the key, the URL is written here instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st


def restore(name: str, options: Sequence[str], default: str) -> None:
    """Before a keyed widget is drawn: take its first value from the link, and never one that is not an option."""
    if name not in st.session_state:
        st.session_state[name] = st.query_params.get(name, default)
    if st.session_state[name] not in options:
        st.session_state[name] = default


def publish(name: str, value: str, default: str | None = None) -> None:
    """After it is drawn: put its value into the URL, unless it is the ``default``."""
    if value == default:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value


def choice(name: str, labels: Mapping[str, str], label: str, *, help: str | None = None) -> str:
    """A selectbox over the keys of ``labels``, shown by their values; the URL holds the key of the choice."""
    keys = list(labels)
    restore(name, keys, keys[0])
    chosen = st.selectbox(label, keys, format_func=labels.__getitem__, key=name, help=help, persist_state="session")
    publish(name, chosen, keys[0])
    return chosen


def switch(name: str, labels: Mapping[str, str], label: str) -> str:
    """A row of buttons over the keys of ``labels``, one of which is pressed; the URL holds its key."""
    keys = list(labels)
    restore(name, keys, keys[0])
    st.segmented_control(label, keys, format_func=labels.__getitem__, key=name, persist_state="session", required=True)
    chosen: str = st.session_state[name]
    publish(name, chosen, keys[0])
    return chosen


def choices(
    name: str,
    labels: Mapping[str, str],
    default: Sequence[str],
    label: str,
    *,
    most: int,
    placeholder: str,
    help: str | None = None,
) -> list[str]:
    """Several keys of ``labels``, at most ``most``; the URL holds them, separated by commas.

    ``placeholder`` stands where none is chosen, in place of Streamlit's own, which is English.
    """
    if name not in st.session_state:
        st.session_state[name] = st.query_params[name].split(",") if name in st.query_params else list(default)
    st.session_state[name] = [key for key in st.session_state[name] if key in labels][:most]
    chosen = st.multiselect(
        label,
        list(labels),
        format_func=labels.__getitem__,
        key=name,
        help=help,
        max_selections=most,
        placeholder=placeholder,
        persist_state="session",
    )
    publish(name, ",".join(chosen), ",".join(default))
    return chosen
