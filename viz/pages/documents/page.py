"""The page "Documents"."""

from viz.pages.documents import view as documents

documents.render()
