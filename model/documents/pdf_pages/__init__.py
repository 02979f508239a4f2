"""The inside of the PDF reader: a child process of little memory extracts lines, which the parent puts together."""
