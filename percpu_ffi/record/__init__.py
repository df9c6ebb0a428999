# SPDX-License-Identifier: GPL-2.0-only
"""Record what the running kernel asks of its per-CPU allocator.

``tracefs`` is the kernel's side: an instance of our own.  ``span`` says how long: while a
command runs, for a time, until a signal.  ``recorder`` carries the kernel's text from the
one to the reader of traces, while the other lasts.
"""

from percpu_ffi.record.recorder import Recording, record
from percpu_ffi.record.span import Span
from percpu_ffi.record.tracefs import Instance, find_tracefs

__all__ = ["Instance", "Recording", "Span", "find_tracefs", "record"]
