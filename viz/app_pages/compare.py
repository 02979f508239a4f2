"""The page "Compare"."""

from viz.session import current_recording, visible_recordings
from viz.views.compare import render

found = visible_recordings()
render(found, current_recording() if found else None)
