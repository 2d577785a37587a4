"""Files of the cases of bad input: text, bytes, links, pipes, and files that `GENERATORS` creates."""

import base64
import gzip
import io
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

OUTPUT_FOLDERS = ("outputs", "outputs/runs", "outputs/sweeps")  # a failed command may create them
Content = str | dict[str, Any]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(file_format: str = "PNG", size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: int = 0) -> bytes:
    """Return an image file of random pixels."""
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(stream, file_format)
    return stream.getvalue()


def decompression_bomb(side: int = 60_000) -> bytes:
    """Return a PNG of a hundred bytes whose header declares billions of pixels."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def rows(count: int = 60) -> str:
    """Return a valid CSV: two numeric columns, a categorical one, and a target of two classes."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(count, 2))
    lines = [f"{a:.3f},{b:.3f},{'xyz'[i % 3]},{'no' if i % 2 else 'yes'}" for i, (a, b) in enumerate(numbers)]
    return "\n".join(["a,b,word,kind", *lines, ""])


def state_dict() -> bytes:
    """Return a checkpoint of another network."""
    stream = io.BytesIO()
    torch.save({"layer.weight": torch.ones(3, 3)}, stream)
    return stream.getvalue()


def parquet(column: list[Any]) -> bytes:
    """Return a Parquet file of a column `nested`, a column of numbers and one of two classes."""
    stream = io.BytesIO()
    table = {"nested": column, "b": range(len(column)), "kind": ["yes", "no"] * (len(column) // 2)}
    pd.DataFrame(table).to_parquet(stream)
    return stream.getvalue()


class MaliciousPickle:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("unpickled",)


GENERATORS: dict[str, Callable[[], bytes]] = {
    "table": lambda: rows().encode(),
    "table of 4 rows": lambda: rows(4).encode(),
    "table in UTF-16": lambda: rows().encode("utf-16"),
    "table in UTF-16 without a mark": lambda: rows().encode("utf-16-le"),
    "table in Latin-1": lambda: rows().replace("x", "é").encode("latin-1"),
    "table with NUL bytes": lambda: rows().replace(",x,", ",\0,").encode(),
    "table cut in a gzip": lambda: gzip.compress(rows().encode())[:-40],
    "table with an unclosed quote": lambda: rows().replace("x", '"x', 1).encode(),
    "table of empty columns": lambda: ("a,b,kind\n" + ",NA,yes\n, ,no\n" * 30).encode(),
    "table of constant columns": lambda: ("a,b,kind\n" + "1,,yes\n1,,no\n" * 30).encode(),
    "Parquet file of lists": lambda: parquet([[1.0, 2.0]] * 60),
    "Parquet file of structs": lambda: parquet([{"u": 1, "v": [2]}] * 60),
    "table of nothing but NUL bytes": lambda: bytes(500),
    "picture": picture,
    "other picture": lambda: picture(seed=1),
    "tiny picture": lambda: picture(size=(2, 2)),
    "cut JPEG": lambda: picture("JPEG", (64, 64))[:600],
    "cut PNG": lambda: picture("PNG", (64, 64))[:600],
    "bomb": decompression_bomb,
    "other weights": state_dict,
    "cut weights": lambda: state_dict()[:-200],
    "pickle": lambda: pickle.dumps(MaliciousPickle()),
}


def write_content(path: Path, content: Content) -> None:
    """Create one file or folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif "generated" in content:
        path.write_bytes(GENERATORS[content["generated"]]())
    elif "base64" in content:
        path.write_bytes(base64.b64decode(content["base64"]))
    elif "link" in content:
        path.symlink_to(content["link"])
    elif "cut" in content:
        path.write_bytes(path.read_bytes()[: content["cut"]])
    elif "removed" in content:
        path.unlink()
    elif "folder" in content:
        path.mkdir()
    elif "pipe" in content:
        os.mkfifo(path)
    else:
        raise ValueError(f"{path.name}: unknown content {content}")


def prepare_folder(folder: Path, files: dict[str, Content], runs: dict[str, Path]) -> None:
    """Create the files of a case, and copies of trained runs, in an empty folder."""
    for name, run in runs.items():
        shutil.copytree(run, folder / "outputs" / "runs" / name)
    for name, content in files.items():
        write_content(folder / name, content)


def read_folder(folder: Path) -> dict[str, bytes | None]:
    """Return the bytes of all files in a folder by path; `None` for folders and broken links."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    found = {name: path for name, path in found.items() if name not in OUTPUT_FOLDERS or not path.is_dir()}
    return {name: path.read_bytes() if path.is_file() else None for name, path in sorted(found.items())}
