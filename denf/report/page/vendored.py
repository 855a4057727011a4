"""Files included in the page: its own, and those of libraries as Python packages ship them."""

from __future__ import annotations

import base64
from importlib.resources import files
from importlib.resources.abc import Traversable


def templates() -> Traversable:
    """Folder of the page's own template, style and script."""
    return files("denf.report.page") / "templates"


def plotly_js() -> str:
    """Plotly as a classic script, which defines `Plotly`."""
    return files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")


def datatables_module() -> str:
    """DataTables with its extensions: data URL of a module that exports it by default."""
    content = files("itables").joinpath("html/dt_bundle.js").read_bytes()
    return "data:text/javascript;base64," + base64.b64encode(content).decode("ascii")


def datatables_css() -> str:
    """Styles of DataTables."""
    return files("itables").joinpath("html/dt_bundle.css").read_text(encoding="utf-8")
