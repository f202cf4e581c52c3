"""A figure that shows itself at the end of a notebook's cell, without pyplot. Imported only where matplotlib is."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

from npalexnet.visualize.fonts import add_fonts, without_warnings


class ShownFigure(Figure):
    """A `matplotlib.figure.Figure` that notebooks display."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        with without_warnings():
            self.savefig(file, format="png")
            if add_fonts(self):
                file = BytesIO()
                self.savefig(file, format="png")
        return file.getvalue()
