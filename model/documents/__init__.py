"""What an upload may be, one file per kind; :mod:`model.document` chooses among them and is what others import."""
