"""The page "Compare"."""

from viz.app.session import current_recording, visible_recordings
from viz.pages.compare.view import render

found = visible_recordings()
render(found, current_recording() if found else None)
