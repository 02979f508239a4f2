"""The inside of the HTML reader: the scanner of tags, what is hidden, lines and tables, and the main text of a page."""
