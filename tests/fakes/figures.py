"""Figures that no test looks at: their files are written as ever, but matplotlib draws nothing."""

from npalexnet import visualize
from npalexnet.files import atomic_write


def leave_blank(set_attribute):
    """Leave the figures of all commands blank; ``set_attribute`` is ``setattr``, or a MonkeyPatch's."""
    for name in ("confusion", "curves", "feature_maps", "filters", "mistakes", "occlusion", "top_activating"):
        set_attribute(visualize, name, lambda *arguments, **settings: None)
    set_attribute(visualize, "write_figure", _write_blank)


def _write_blank(path, figure):
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"a figure")
