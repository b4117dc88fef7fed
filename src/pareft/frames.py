"""polars, as all of pareft imports it.

Once polars (2.1) is imported, an interrupt no longer ends a wait: whatever waits for a process or a lock goes on waiting. Here it
ends it again.
"""

import signal

import polars as pl

if hasattr(signal, "siginterrupt"):  # not on Windows
    signal.siginterrupt(signal.SIGINT, True)

__all__ = ["pl"]
