# SPDX-License-Identifier: GPL-2.0-only
"""A kernel as the witness: compare the policy with what the recorded kernel chose.

A recording has the chunk and the offset of each choice that a kernel made.  For each one the
policy is asked first, then the area is placed where the kernel placed it, so that the next
question starts from the kernel's own state:

    steps   the recording, in order, if it has what a policy decides by
    start   what was in use before the recording began
    follow  the policy is asked, and follows the kernel
    reorder lines are not always printed in the order of the decisions
"""
