"""Strategies of hypothesis: overrides, conditions, tables and images, most of them invalid."""

import io

import hypothesis.strategies as st
import numpy as np
from PIL import Image

GROUPS = ["model", "data", "optimizer", "scheduler", "trainer", "callbacks", "sweep", "hydra/launcher", "model@net"]
GROUP_KEYS = ["optimizer.lr", "model.hidden_dims", "trainer.max_epochs", "data.batch_size", "augment.flip", "data.fold"]
OTHER_KEYS = ["seed", "objective", "hydra.run.dir", "run.dir", "callbacks.speed", "x.y", "hydra.launcher.slots", ""]
KEYS = st.sampled_from([*GROUPS, *GROUP_KEYS, *OTHER_KEYS])
PREFIXES = st.sampled_from(["", "", "", "+", "++", "~", " ", "-", "."])
COMMON_VALUES = [
    "1",
    "0",
    "-1",
    "0.5",
    "nan",
    "inf",
    "1e400",
    "null",
    "true",
    "mlp",
    "cnn",
    "adam",
    "digits",
    "none",
    "",
    " ",
]
PUNCTUATION = [*"'\"\\[]{}(),:=#@\n\x00\u2028é", "'a'", "${seed}", "${", "???", "$(ls)", "../x", "a/b", "9" * 40]
SWEEP_VALUES = [
    "[1,2]",
    "{a:1}",
    "range(3)",
    "choice(1,2)",
    "interval(0,1)",
    "glob(*)",
    "range(0,1,0)",
    "shuffle(range(5))",
]
CASTS = ["tag(log,interval(1,2))", "int(3)", "str([1])", "int(x)", "sort(3,1)", "json_str(1)", "extend_list(1)"]
ATOMS = st.sampled_from([*COMMON_VALUES, *PUNCTUATION, *SWEEP_VALUES, *CASTS])
VALUES = st.lists(ATOMS, min_size=1, max_size=4).map("".join)
WORDS = st.one_of(
    st.tuples(PREFIXES, KEYS, st.sampled_from(["=", "=", "=", "", "==", "@", ":"]), VALUES).map("".join),
    st.tuples(KEYS, st.just("="), ATOMS).map("".join),
    st.text(max_size=12),
).filter(lambda word: not word.startswith("--"))

NAMES = ["seed", "model", "optimizer.lr", "optimizer", "x", "true", "[1, 2]", "1", "0", "1e308", '"mlp"', "'"]
OPERATORS = ["==", "<", "in", "not", "and", "or", "(", ")", "+", "*", "/", "-", ",", "**", "[0]", "if", "lambda: 0"]
CONDITIONS = st.one_of(st.lists(st.sampled_from([*NAMES, *OPERATORS]), max_size=7).map(" ".join), st.text(max_size=20))

CELL = st.one_of(
    st.sampled_from(
        ["", " ", "NA", "null", "nan", "inf", "-inf", "1e999", "1e39", "0", "1,5", "2026-11-30", "2026-13-45"]
    )
    | st.sampled_from(
        ["9999999999-01-01", "0001-01-01", "true", "False", "0x10", "1_000", "٣", "é", '"', "'", "a,b", "\\"]
    )
    | st.sampled_from(["a\nb", "1" * 400, "-0.0", "5e-324", "12:30", "2026-11-30T12:00+99:00", "0" * 30, "=1+1", "#"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=5),
    st.floats().map(str),
    st.integers().map(str),
)
CELLS = st.lists(
    st.tuples(st.sampled_from(["yes", "no", "yes", "no", "", "maybe"]), CELL, CELL).map(list), min_size=6, max_size=30
)
TEXT_TABLE = b"a,b,kind\n" + b"".join(b"%d,%d.5,%s\n" % (i, i * i % 7, [b"yes", b"no"][i % 2]) for i in range(20))


def picture(kind: str, mode: str) -> bytes:
    """Return a small image file."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    (image.convert("L") if mode == "I;16" else image).convert(mode).save(stream, kind)
    return stream.getvalue()


def parquet() -> bytes:
    """Return a small Parquet file."""
    import pandas as pd

    return bytes(pd.read_csv(io.BytesIO(TEXT_TABLE)).to_parquet())


IMAGE_TYPES = [
    *[("PNG", mode) for mode in ("RGB", "P", "LA", "I;16")],
    *[("TIFF", mode) for mode in ("RGB", "F")],
    *[("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "RGB"), ("WEBP", "RGBA")],
    *[("PPM", "L"), ("ICO", "RGBA"), ("TGA", "RGB")],
]
IMAGES = [picture(kind, mode) for kind, mode in IMAGE_TYPES]
TABLES = [TEXT_TABLE, TEXT_TABLE.decode().encode("utf-16"), parquet()]


@st.composite
def corrupt(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Return a file with some bytes changed, inserted or removed."""
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(0, 6))):
        position = draw(st.integers(0, max(0, min(len(content) - 1, draw(st.sampled_from([40, 10_000]))))))
        change = draw(st.sampled_from(["flip", "set", "cut", "insert", "drop"]))
        if change == "flip" and content:
            content[position] ^= 1 << draw(st.integers(0, 7))
        elif change == "set":
            content[position : position + 4] = draw(
                st.sampled_from([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"])
            )
        elif change == "cut":
            del content[position:]
        elif change == "insert":
            content[position:position] = draw(st.binary(max_size=8))
        else:
            del content[position : position + draw(st.integers(1, 8))]
    return bytes(content)


CORRUPT_IMAGES = st.one_of(corrupt(IMAGES), st.binary(max_size=60))
RAW_TABLES = st.one_of(corrupt(TABLES), st.binary(max_size=60), st.text(max_size=60).map(str.encode))
