"""Memory that is freed and taken again, block after block, stays with the process."""

from __future__ import annotations

import numpy as np

#: The largest array from which glibc learns (mallopt(3), M_MMAP_THRESHOLD: 32 MiB), less what it adds.
_MOST = (32 << 20) - (64 << 10)


def keep_freed() -> None:
    """Let freed arrays of up to 32 MB, and 64 MB of them, be used again before they go back to the system.

    Until glibc has seen a larger array go it gives back every one above 128 KB, and each page costs a fault when it is
    taken anew: a fifth of the processor's time of composing. The array here is never touched, so it takes no memory.
    """
    np.empty(_MOST, np.uint8)
