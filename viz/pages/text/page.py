"""The page "Text"."""

from viz.app.session import current_recording
from viz.pages.text.view import render

render(current_recording())
