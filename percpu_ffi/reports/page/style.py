# SPDX-License-Identifier: GPL-2.0-only
"""What the parts of the page share: assets, the style and the colours of charts."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from percpu_ffi.reports.colours import COLOURS

LEFT = 82  # pixels to the left of a chart, so that all charts are aligned

# JavaScript that returns the label of a tick
BYTES_LABEL = """
if (tick >= 1048576) return (tick / 1048576).toLocaleString("en") + " MiB"
if (tick >= 1024) return (tick / 1024).toLocaleString("en", {maximumFractionDigits: 1}) + " KiB"
return tick.toString()
"""


def read_asset(name: str) -> str:
    """Read a file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class Paint:
    """Colours parts of charts; controls.js repeats that if the colour scheme changes."""

    def __init__(self) -> None:
        """Begin without parts."""
        self.painted: list[tuple[Any, str, str]] = []
        """For each part its model, the property and the key of the colour."""

    def __call__(self, model: Any, name: str, key: str) -> None:
        """Set a property of a model of bokeh to the colour with this key."""
        setattr(model, name, COLOURS[key])
        self.painted.append((model, name, key))

    def style(self, chart: Any) -> None:
        """Apply the style of the page to a chart of bokeh."""
        from bokeh.models import CustomJS  # noqa: PLC0415 - an extra

        chart.outline_line_color = None
        chart.background_fill_color = None
        chart.border_fill_color = None
        for grid in chart.grid:
            self(grid, "grid_line_color", "grid")
        for axis in chart.axis:
            self(axis, "axis_line_color", "axis")
            self(axis, "major_tick_line_color", "axis")
            self(axis, "axis_label_text_color", "soft")
            self(axis, "major_label_text_color", "soft")
            axis.minor_tick_line_color = None
            axis.axis_label_text_font_style = "normal"
            axis.axis_label_text_font_size = "13px"
            axis.major_label_text_font_size = "12px"
        chart.toolbar.autohide = True
        chart.js_on_event("doubletap", CustomJS(args={"chart": chart}, code="chart.reset.emit()"))
        chart.toolbar.logo = None
