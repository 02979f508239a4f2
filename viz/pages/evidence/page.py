"""The page "Evidence"."""

from viz.pages.evidence.view import render

render()
