"""Length extension (LongSSM): does a model that was trained on T tokens gain or lose when it reads more than T?

    L(T')     mean loss of the same tokens, read in windows of T' tokens, each from the zero state
    weak      L(T') stays finite for T' > T
    monotone  L(T') never rises with T' from T on
    rise      max over T <= T1 < T2 of L(T2) - L(T1)         0 if and only if the extension is monotone

Wang 2024 (arXiv 2406.02080) states that state-space models that were trained from the zero state have difficulty
extending, because length extension is polynomial extrapolation, and that another initial state in training makes it
interpolation. ``toy`` shows the argument on the smallest case, ``measure`` reads. The definitions of weak and monotone
are taken from second-hand accounts of the paper; the derivation in ``toy`` is ours. No torch is imported here.
"""

from model.studies.extension.curve import MULTIPLES, is_monotone, lengths_in, rise
from model.studies.extension.toy import Toy, toy

__all__ = ["MULTIPLES", "Toy", "is_monotone", "lengths_in", "rise", "toy"]
