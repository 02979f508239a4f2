"""The page "Lab"."""

import streamlit as st

from viz.app.choices import choices
from viz.app.language import t
from viz.pages.lab.view import render

chosen = choices()
if chosen is None:
    st.info(t("lab.no_model"), icon=":material/deployed_code_alert:")
else:
    render(chosen)
