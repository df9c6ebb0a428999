# SPDX-License-Identifier: GPL-2.0-only
"""Record the percpu events of the running kernel.

``tracefs`` makes an instance for our events.  ``period`` defines how long to record: while a
command runs, for a time, until a signal.  ``recorder`` passes the kernel's text to the reader
of traces during that period, and what it reads to a file.  ``machine`` describes the machine.
"""

from percpu_ffi.record.period import Period
from percpu_ffi.record.recorder import record
from percpu_ffi.record.tracefs import Instance, find_tracefs

__all__ = ["Instance", "Period", "find_tracefs", "record"]
