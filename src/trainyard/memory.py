"""How much memory processes take, as Linux tells it, and how much disk a folder."""

import re
from contextlib import suppress
from pathlib import Path

LINE = re.compile(r"^(\w+):\s+(\d+) kB", re.MULTILINE)


def pages(process: int | str = "self") -> dict[str, int]:
    """Return the bytes of each sort of memory of a process: `Rss`, `Shared_Clean`, ..., and `VmHWM`, its peak.

    Nothing where the system does not tell.
    """
    return sizes(process, "status") | sizes(process, "smaps_rollup")


def sizes(process: int | str, file: str) -> dict[str, int]:
    """Return the bytes that one of Linux's files on a process tells; nothing where there is no such file."""
    with suppress(OSError):
        text = Path(f"/proc/{process}/{file}").read_text(encoding="utf-8")
        return {name: int(size) * 1024 for name, size in LINE.findall(text)}
    return {}


def peak() -> int:
    """Return the bytes that this process had at its peak; 0 where the system does not tell."""
    return sizes("self", "status").get("VmHWM", 0)  # the other file takes milliseconds to make


def own_peak() -> int:
    """Return the bytes that this process had at its peak, without those that it shares with the one that forked it."""
    found = pages()
    return max(0, found.get("VmHWM", 0) - found.get("Shared_Clean", 0) - found.get("Shared_Dirty", 0))


def bytes_on_disk(folder: Path, but: str = "") -> int:
    """Return the size of all files in a folder; those of a folder in it may be left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != but)
    return sum(path.stat().st_size for path in files)
