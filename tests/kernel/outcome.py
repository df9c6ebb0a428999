# SPDX-License-Identifier: GPL-2.0-only
"""How a check ends: well, skipped because this machine cannot run it, or with a failure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Skip(Exception):
    """The machine lacks something; the message states what, and what to do."""


class Failure(Exception):
    """The check ran and failed; the message states why."""


def report(name: str, check: Callable[[], object]) -> int:
    """Run ``check`` and print why it was skipped or failed; return the exit status."""
    try:
        check()
    except Skip as reason:
        print(f"{name}: skipped: {reason}")
    except Failure as reason:
        sys.stdout.flush()
        print(f"{name}: {reason}", file=sys.stderr)
        return 1
    return 0
