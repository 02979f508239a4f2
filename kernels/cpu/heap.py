"""How the C library gives memory back, which decides a tenth to a fifth of the speed of a CPU."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Names and numbers of <malloc.h> in glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


@cache
def keep_freed_memory() -> None:
    """Tell glibc to keep freed tensors for the next ones; other C libraries are left as they are.

    Every segment allocates the same few megabytes again. By default glibc returns them to the system each time, and
    the next segment pays for mapping and clearing every page. The peak stays the same: what is kept is what was used.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**25)  # the largest that glibc takes
        mallopt(M_ARENA_MAX, 1)  # the arenas of other threads give back whatever the thresholds say
