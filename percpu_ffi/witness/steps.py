# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a recording that a policy can predict."""

from __future__ import annotations

from percpu_ffi.errors import TraceError
from percpu_ffi.trace import Trace
from percpu_ffi.trace.operations import OP, SPECIAL
from percpu_ffi.trace.steps import Step, steps


def steps_of(trace: Trace) -> list[Step]:
    """Return the steps of a recording.

    Raises:
        TraceError: it has no allocation, or lacks the places of areas, or whether requests are
            atomic.

    """
    if all(kind >= SPECIAL for _key, _handle, kind in OP.iter_unpack(trace.ops)):
        raise TraceError("the recording has no allocation: there is nothing to predict")
    for lacks, what, names in (
        (trace.places is None, "where the kernel placed its areas", "base_addr= and off="),
        (not trace._data.flags_known, "whether a request was atomic", "is_atomic="),
    ):
        if lacks:
            raise TraceError(
                f"the recording does not have {what} ({names}), without which no choice can be "
                "predicted; record it with `percpu-ffi record`"
            )
    return list(steps(trace))
