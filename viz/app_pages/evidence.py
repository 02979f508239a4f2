"""The page "Evidence"."""

from viz.views.evidence import render

render()
