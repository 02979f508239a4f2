"""The page "Capacity"."""

from viz.pages.capacity.view import render

render()
