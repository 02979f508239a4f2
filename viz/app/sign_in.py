"""Sign-in by an OpenID Connect provider, where the server's secrets name one; without them everybody is let in.

Streamlit does it (``st.login``): ``.streamlit/secrets.toml`` has a table ``[auth]``, and ``streamlit[auth]`` is
installed. What a person reads is theirs in every browser: their workspace is named by the hash of who they are.
"""

from __future__ import annotations

import hashlib

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from viz.app.language import plain, t


def wanted() -> bool:
    """Whether this server lets in only who has signed in."""
    try:
        return "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        return False


def signed_in() -> bool:
    """Whether this visitor has signed in; no visitor has where the provider is set up wrongly."""
    return st.user.get("is_logged_in") is True


def require() -> None:
    """Show the page to sign in, and nothing else, to a visitor who has to and has not."""
    if not wanted() or signed_in():
        return
    st.title(t("app.name"), anchor=False)
    st.write(t("app.sign_in.why"))
    st.button(t("app.sign_in.button"), type="primary", icon=":material/login:", on_click=st.login)
    st.stop()


def identity() -> str | None:
    """The hash of who has signed in, the same in all of their browsers; None without sign-in."""
    if not wanted() or not signed_in():
        return None
    who = f"{st.user.get('iss', '')} {st.user.get('sub') or st.user.get('email')}"
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def show() -> None:
    """In the sidebar: who has signed in, and the way out."""
    if not wanted() or not signed_in():
        return
    name = st.user.get("name") or st.user.get("email") or "?"
    st.caption(t("app.sign_in.as", name=plain(str(name))))
    st.button(t("app.sign_in.out"), icon=":material/logout:", on_click=st.logout)
