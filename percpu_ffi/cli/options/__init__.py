# SPDX-License-Identifier: GPL-2.0-only
"""What the commands accept: one module for each, with ``add_arguments(parser)``.

These modules import neither the compiled core nor a dependency: they are also used while the
package is built, and ``--help`` does not load what a command needs to run.
"""
