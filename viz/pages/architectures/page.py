"""The page "Architectures"."""

from viz.pages.architectures.view import render

render()
