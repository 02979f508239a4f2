"""The page "Mitigations"."""

from viz.pages.mitigations.view import render

render()
