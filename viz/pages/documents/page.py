"""The page "Documents and recordings"."""

from viz.pages.documents import view as documents

documents.render()
