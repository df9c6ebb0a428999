# SPDX-License-Identifier: GPL-2.0-only
"""The documentation site, as ``make docs`` builds it with Sphinx.

The folder of the project is the source folder, so that a link between files leads to the same
place here and on a code host.  Nothing is read from the network, neither by the build nor by
its pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

import percpu_ffi

sys.path.insert(0, str(Path(__file__).resolve().parent / "_extensions"))

project = "percpu_ffi"
author = "the authors of percpu_ffi"
version = release = percpu_ffi.__version__
html_title = f"{project} {version}"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_argparse_cli",
    "docstrings",
    "kernel_doc",
    "source_pages",
]

root_doc = "docs/index"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
include_patterns = [
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "samples/README.md", "docs/**",
]  # fmt: skip
exclude_patterns = ["docs/_*", ".*", "build", "percpu_ffi", "csrc", "tests", "dist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks have their outputs
highlight_language = "none"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"

# what other projects document
nitpick_ignore_regex = [
    ("c:identifier", r"u?int\d+_t|size_t"),
    ("py:.*", r"(collections|concurrent|contextlib|os|pathlib|cffi)\..*|array"),
    ("py:class", r".*\.T"),  # a type variable
]
# Sphinx has one name for a struct and a function of C: kernel_doc.py has a label for the function
suppress_warnings = ["duplicate_declaration.c"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_extra"]  # a page at the root that leads to the front page
html_copy_source = False
html_show_copyright = False
