"""Files of either kind as batches for a model."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from trainyard.data.loading.datamodule import EVALUATION_PIXELS
from trainyard.data.loading.spec import DataSpec
from trainyard.predict.image_batches import image_batches
from trainyard.predict.inputs import STDIN, InputFile
from trainyard.predict.predictor import InputBatch
from trainyard.predict.table_batches import table_batches
from trainyard.predict.table_chunks import TableFile

IMAGES = 64  # in a batch, fewer if they are large, unless another size is typed
ROWS = 8192

Opened = tuple[Iterator[InputBatch], int | None]


@contextmanager
def opened_inputs(files: Sequence[InputFile], spec: DataSpec, batch_size: int | None = None) -> Iterator[Opened]:
    """Yield the batches of files that are of the model's kind, and how many inputs there are, if that is known.

    Args:
        files: what is to be predicted.
        spec: of the model.
        batch_size: inputs in a batch; `None` for up to 64 images or 8192 rows.

    Raises:
        ConfigError: a table that cannot be read, is empty, or lacks columns.
    """
    if spec.kind == "images":
        channels, height, width = spec.input_shape
        names = [file.name for file in files]
        size = batch_size or max(1, min(IMAGES, EVALUATION_PIXELS // (height * width)))
        with closing(image_batches(names, (channels, height, width), size, spec.value_range)) as batches:
            yield batches, len(names)
        return
    with stdin_as_file() if STDIN in [file.name for file in files] else nullcontext(Path()) as received:
        places = [(received, "stdin") if file.name == STDIN else (Path(file.name), file.name) for file in files]
        tables = [TableFile(path, name, spec.columns) for path, name in places]
        counts = [table.check() for table in tables]
        known = [count for count in counts if count is not None]
        with closing(table_batches(tables, batch_size or ROWS)) as batches:
            yield batches, sum(known) if len(known) == len(counts) else None


@contextmanager
def stdin_as_file() -> Iterator[Path]:
    """Keep in a temporary file what comes from standard input: it is looked at more than once, as files are."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        path = Path(folder) / "stdin.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path
