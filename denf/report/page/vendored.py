"""JavaScript and styles of the page's libraries, as their Python packages ship them."""

from __future__ import annotations

import base64
from importlib.resources import files


def plotly_js() -> str:
    """Plotly as a classic script, which defines `Plotly`."""
    return files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")


def datatables_module() -> str:
    """DataTables with its extensions as a data URL of a module, whose default export is `DataTable`."""
    content = files("itables").joinpath("html/dt_bundle.js").read_bytes()
    return "data:text/javascript;base64," + base64.b64encode(content).decode("ascii")


def datatables_css() -> str:
    """Its styles."""
    return files("itables").joinpath("html/dt_bundle.css").read_text(encoding="utf-8")
