# SPDX-License-Identifier: GPL-2.0-only
"""Policies of your own: write where areas go, and compare it with the kernel's."""

from percpu_ffi.custom.chunks import Units
from percpu_ffi.custom.policy import CustomPolicy
from percpu_ffi.custom.replay import check_policy, replay_custom

__all__ = ["CustomPolicy", "Units", "check_policy", "replay_custom"]
