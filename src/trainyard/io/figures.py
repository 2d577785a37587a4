"""The style of all figures, and where commands save them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from trainyard.io.errors import config_error
from trainyard.io.files import replacing

FOLDER = Path("outputs")
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a $ in a class name is a $
    "legend.fontsize": 8,
    "grid.alpha": 0.3,
    "savefig.dpi": 110,
    "savefig.bbox": "tight",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Set the style for figures that are created or saved; a context manager or a decorator."""
    with rc_context(STYLE):
        yield


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with figure_style(), replacing(path) as draft:
        figure.savefig(draft, format="png")


def save_figure(figure: Figure, name: str) -> None:
    """Write a figure as `outputs/NAME` and print its path; raise a ConfigError if it cannot be written."""
    path = FOLDER / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_figure(figure, path)
    except OSError as error:
        accepted = "a current folder that you may write to"
        raise config_error("outputs", path.parent, f"cannot be written ({error.strerror})", accepted) from error
    print(f"written    {path}")
