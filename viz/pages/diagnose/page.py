"""The page "Diagnose"."""

import streamlit as st

from viz.app.choices import choices
from viz.app.language import t
from viz.pages.diagnose.view import render

chosen = choices()
if chosen is None:
    st.info(t("diagnose.no_model"), icon=":material/deployed_code_alert:")
else:
    render(chosen)
