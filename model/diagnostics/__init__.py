"""Numbers from a recording: where memory costs, how long it lasts, whether its states were ever seen in training.

One file per question; numpy in, numpy out. Nothing here needs torch, and only the
state map needs a compiler.
"""
