"""A fingerprint changes with the data, and with nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainyard.data.loading import fingerprint as module
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import SAMPLE, fingerprint, tensor_digest
from trainyard.data.loading.spec import Examples
from trainyard.data.sources.builtin import Digits
from trainyard.data.sources.image_folder import ImageFolder


class Blocks(DataModule):
    """Images of a tensor."""

    kind = "images"
    classes = ("a", "b", "c")

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        super().__init__(batch_size=1)
        self.x, self.y = x, y

    def read(self) -> dict[str, Examples]:
        whole = Examples(self.x, self.y)
        return dict.fromkeys(("train", "val", "test"), whole)


def test_counts_examples_and_classes() -> None:
    y = torch.tensor([0] * 5 + [2] * 3)
    found = fingerprint(Blocks(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), y))
    assert set(found) == {"train", "val", "test"}
    counts = {name: found["train"][name] for name in ("examples", "classes", "least", "most")}
    assert counts == {"examples": 8, "classes": 2, "least": 3, "most": 5}


def test_labels_and_inputs_have_separate_digests() -> None:
    x, y = torch.zeros(8, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1] * 4)
    before = fingerprint(Blocks(x, y))["train"]
    other_x, other_y = x.clone(), y.clone()
    other_x[3, 0, 1, 1] = 1
    other_y[[0, 1]] = other_y[[1, 0]]
    inputs, labels = fingerprint(Blocks(other_x, y))["train"], fingerprint(Blocks(x, other_y))["train"]
    assert [name for name in before if before[name] != inputs[name]] == ["inputs"]
    assert [name for name in before if before[name] != labels[name]] == ["labels"]


def test_the_order_of_memory_does_not_count() -> None:
    x, y = torch.arange(96, dtype=torch.uint8).view(8, 3, 2, 2), torch.tensor([0, 1] * 4)
    assert fingerprint(Blocks(x, y)) == fingerprint(Blocks(x.to(memory_format=torch.channels_last), y))


def test_at_most_256_kib_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(60_000, 1, 28, 28, dtype=torch.uint8)
    sizes: list[int] = []

    def counted(values: torch.Tensor) -> str:
        sizes.append(values.numel() if values.dtype == torch.uint8 else 0)
        return tensor_digest(values)

    monkeypatch.setattr(module, "tensor_digest", counted)
    fingerprint(Blocks(x, torch.zeros(60_000, dtype=torch.int64)))
    inputs = [size for size in sizes if size]
    assert len(inputs) == 3
    assert all(SAMPLE // 2 < size <= SAMPLE for size in inputs), "of each split"


def test_fingerprint_is_independent_of_placement_but_not_of_the_split() -> None:
    resident, streamed, other = (
        fingerprint(Digits(batch_size=64, resident=kept, seed=seed))
        for kept, seed in ((True, 0), (False, 0), (True, 1))
    )
    assert resident == streamed
    assert resident["train"]["examples"] == other["train"]["examples"]
    assert resident["train"]["inputs"] != other["train"]["inputs"]


def test_fingerprint_of_image_files(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    for number in range(24):
        file = root / f"class{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(number, number + 16, dtype=np.uint8).reshape(4, 4)).save(file)

    def found(**options: object) -> dict[str, dict[str, object]]:
        return fingerprint(ImageFolder(str(root), str(tmp_path / "cache"), batch_size=2, num_workers=0, **options))

    before = found(resident=True)
    assert before == found(resident=False) == found(image_size=2)
    Image.fromarray(np.full((4, 4), 99, dtype=np.uint8)).save(root / "class0" / "2.png")
    after = found(resident=True)
    changed = [name for name in before if before[name]["inputs"] != after[name]["inputs"]]
    assert len(changed) == 1, "the split that the file belongs to"
    assert all(before[name]["labels"] == after[name]["labels"] for name in before)
