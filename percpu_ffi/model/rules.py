# SPDX-License-Identifier: GPL-2.0-only
"""How often each rule of a policy applied, so that a campaign knows which ones it reached."""

from __future__ import annotations

from collections import Counter


class Rules(Counter[str]):
    """Counts by the text of a rule."""

    def note(self, rule: str) -> None:
        """Count a rule that applies now."""
        self[rule] += 1
