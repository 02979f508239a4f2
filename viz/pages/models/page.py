"""The page of models: what is here, how large it is, and how another comes in."""

from viz.pages.models import view as models

models.render()
