"""How the loops of this package are compiled: importing this file imports numba."""

from __future__ import annotations

from numba import njit

# Sums may be reordered, so that they vectorise; infinities stay exact, because a limit may be one, and what
# overflowed stays visible. A division by zero gives infinity, as in numpy: an exception would keep a loop from being
# vectorised. Compiled once for a machine; other threads run meanwhile.
jit = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
