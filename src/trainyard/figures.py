"""Pictures that commands draw into `outputs/`."""

from pathlib import Path

from matplotlib.figure import Figure

from trainyard.errors import reject
from trainyard.files import replacing

FOLDER = Path("outputs")


def save(figure: Figure, name: str) -> None:
    """Write a figure as `outputs/NAME`, whole or not at all, and say where it is.

    Raises:
        ConfigError: it cannot be written.
    """
    path = FOLDER / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            figure.savefig(draft, format="png", dpi=110, bbox_inches="tight")
    except OSError as error:
        accepted = "a current folder that you may write to"
        raise reject("outputs", path.parent, f"cannot be written ({error.strerror})", accepted) from error
    print(f"look       {path}")
