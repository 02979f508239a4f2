"""The page "Recordings"."""

from viz.pages.recordings import view as recordings

recordings.render()
