"""Ask after reading: what a model writes, or answers, from its state at a moment of a document."""
