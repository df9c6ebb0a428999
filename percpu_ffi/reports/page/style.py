# SPDX-License-Identifier: GPL-2.0-only
"""What the parts of the page share: assets, the style of charts, labels of bytes."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

LEFT = 86  # pixels to the left of a chart, so that all charts are aligned

# JavaScript that returns the label of a tick
BYTES_LABEL = """
if (tick >= 1048576) return (tick / 1048576).toLocaleString("en") + " MiB"
if (tick >= 1024) return (tick / 1024).toLocaleString("en", {maximumFractionDigits: 1}) + " KiB"
return tick.toString()
"""


def read_asset(name: str) -> str:
    """Read a file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def apply_style(chart: Any) -> None:
    """Apply the style of the page to a chart of bokeh."""
    from bokeh.models import CustomJS  # noqa: PLC0415 - an extra

    chart.outline_line_color = None
    chart.grid.grid_line_color = "#e6eaf0"
    chart.axis.axis_line_color = "#9aa5b1"
    chart.axis.minor_tick_line_color = None
    chart.axis.axis_label_text_font_style = "normal"
    chart.axis.axis_label_text_color = "#5f6c7b"
    chart.axis.axis_label_text_font_size = "13px"
    chart.axis.major_label_text_font_size = "12px"
    chart.toolbar.autohide = True
    chart.js_on_event("doubletap", CustomJS(args={"chart": chart}, code="chart.reset.emit()"))
    chart.toolbar.logo = None
