"""What an upload may be, one file per kind; :mod:`.document` chooses among them and is what others import."""
