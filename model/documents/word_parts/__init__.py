"""The inside of the Word reader: the package, styles, numbers, paragraphs, equations, symbols and drawings."""
