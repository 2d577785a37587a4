"""Statistics and fingerprints of examples, class weights and the majority baseline."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tests.conftest import Compose
from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading import statistics
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column, DataSpec, Examples
from trainyard.data.loading.statistics import (
    CHUNK,
    FINGERPRINT_BYTES,
    channel_sums,
    fingerprint,
    image_statistics,
    mean_and_std,
    row_statistics,
    tensor_digest,
)
from trainyard.data.loading.target import Classes
from trainyard.data.loading.target_statistics import compute_class_weights, missing_target_warnings, simplest_baseline
from trainyard.data.sources.builtin import Digits
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.io.errors import ConfigError
from trainyard.models.input_layers import Normalize
from trainyard.models.mlp import MLP
from trainyard.run.training import train


def images(count: int, channels: int, side: int) -> torch.Tensor:
    bright = torch.randint(0, 256, (count, channels, side, side), generator=derive_generator(1), dtype=torch.uint8)
    return bright // torch.arange(1, channels + 1, dtype=torch.uint8)[:, None, None]  # channels differ


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 50, CHUNK + 7])
def test_image_statistics_equal_those_of_torch(channels: int, count: int) -> None:
    pixels = images(count, channels, 5)
    mean, std = image_statistics(pixels)
    expected = torch.std_mean(pixels.double() / 255, dim=(0, 2, 3), correction=0)
    assert mean.tolist() == pytest.approx(expected[1].tolist(), rel=1e-12)
    assert std.tolist() == pytest.approx(expected[0].tolist(), rel=1e-9)
    assert mean.shape == std.shape == (channels,)


def test_statistics_do_not_depend_on_order() -> None:
    pixels = images(CHUNK + 100, 1, 3)
    shuffled = pixels[torch.randperm(len(pixels), generator=derive_generator(2))]
    assert all(map(torch.equal, image_statistics(pixels), image_statistics(shuffled)))


@pytest.mark.parametrize("channels", [1, 3])
def test_files_and_tensors_give_equal_statistics(tmp_path: Path, channels: int) -> None:
    pixels = images(20, channels, 6)
    for number, image in enumerate(pixels):
        array = image.permute(1, 2, 0).numpy()
        Image.fromarray(array[:, :, 0] if channels == 1 else array).save(tmp_path / f"{number:02}.png")
    paths = np.array([str(path) for path in sorted(tmp_path.iterdir())])
    sums = torch.stack([channel_sums(image[None]) for image in pixels])  # a image each
    files = ImageFiles(paths, sums, np.zeros((20, 16), np.uint8), (channels, 6, 6))
    assert torch.equal(files.read(torch.arange(20)), pixels)
    chosen = torch.tensor([3, 17, 4])
    labels = torch.zeros(20, dtype=torch.long)
    for index in (torch.arange(20), chosen):
        from_files = mean_and_std(Examples(files, labels).subset(index), ())
        from_tensor = mean_and_std(Examples(pixels, labels).subset(index), ())
        assert all(map(torch.equal, from_files, from_tensor))


def test_a_constant_channel_is_divided_by_one() -> None:
    pixels = torch.full((4, 3, 2, 2), 51, dtype=torch.uint8)
    pixels[:, 1] = torch.arange(16).view(4, 2, 2)
    mean, std = image_statistics(pixels)
    assert mean.tolist() == pytest.approx([0.2, 7.5 / 255, 0.2])
    assert std.tolist() == pytest.approx([0, (255 / 12) ** 0.5 / 255, 0])
    normalized = Normalize(mean.tolist(), std.tolist())(pixels)
    assert normalized[:, [0, 2]].abs().max() < 1e-6
    assert normalized[:, 1].std(correction=0).item() == pytest.approx(1)


def test_missing_values_of_rows_become_the_median() -> None:
    columns = (Column("a", median=4.0), Column("c", levels=("x", "y")), Column("flat"), Column("none"))
    nan = float("nan")
    rows = torch.tensor([[1, 2, 0.1, nan], [nan, 1, 0.1, nan], [7, 0, 0.1, nan], [4, 2, 0.1, nan]])
    mean, std = row_statistics(rows, columns)
    assert mean.tolist() == pytest.approx([4, 0, 0.1, 0])
    assert std.tolist() == pytest.approx([4.5**0.5, 1, 1, 1]), "1 for categories and constant columns"
    assert mean_and_std(Examples(rows, torch.zeros(4)), columns)[0].tolist() == mean.tolist()


@pytest.mark.parametrize("value", [0.1, 123456.7, 1e-5, 3.3e7])
def test_rounding_does_not_give_a_constant_column_a_deviation(value: float) -> None:
    assert row_statistics(torch.full((1003, 1), value), [Column("a")])[1].tolist() == [1]


LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def test_none_disables_class_weights() -> None:
    assert compute_class_weights("none", LABELS, 3) == ()
    assert Digits(batch_size=32).spec.target.weights == ()


def test_balanced_is_scikit_learns_formula() -> None:
    n_samples, n_classes, counts = 100, 3, [60, 30, 10]
    expected = [n_samples / (n_classes * count) for count in counts]  # compute_class_weight("balanced", ...)
    assert compute_class_weights("balanced", LABELS, 3) == pytest.approx(expected)


def test_a_class_without_examples_has_weight_zero() -> None:
    assert compute_class_weights("balanced", LABELS, 4) == pytest.approx([100 / 180, 100 / 90, 100 / 30, 0])


def test_only_the_ratios_of_weights_matter() -> None:
    weights = compute_class_weights([1, 2, 4], LABELS, 3)
    assert weights == pytest.approx([100 / 160, 200 / 160, 400 / 160])
    assert weights == pytest.approx(compute_class_weights([0.25, 0.5, 1.0], LABELS, 3))
    assert float(torch.tensor(weights)[LABELS].mean()) == pytest.approx(1), "the mean weight is 1"
    assert compute_class_weights([0, 0, 5], LABELS, 3) == pytest.approx([0, 0, 10])


def make_examples(*labels: int) -> Examples:
    return Examples(torch.zeros(len(labels), 1), torch.tensor(labels))


def test_the_baseline_is_the_most_frequent_training_class() -> None:
    splits = {"train": make_examples(1, 1, 0), "val": make_examples(0, 0, 0, 1), "test": make_examples(1, 1, 1, 0, 2)}
    assert simplest_baseline(splits, Classes(("a", "b", "c"))) == {"class": "b", "val/acc": 0.25, "test/acc": 0.6}


def test_missing_classes_are_reported() -> None:
    names = ("a", "b", "c", "d")
    splits = {"train": make_examples(0, 1, 2, 2), "val": make_examples(0), "test": make_examples(0, 1, 2)}
    assert missing_target_warnings(splits, Classes(names)) == [
        "validation has no examples of these classes (training examples): b (1), c (2)\n  val/acc does not measure them"
    ]
    assert missing_target_warnings({name: make_examples(0, 1) for name in splits}, Classes(names)) == []


def test_a_run_warns_before_training_and_stores_the_baseline(
    compose_run: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["x,y", *(f"{number},{'ab'[number % 3 == 0]}" for number in range(60)), "7.5,rare"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    words = ("data=table", f"data.path={tmp_path}/rows.csv", "data.target=y", "data.batch_size=8")
    cfg = compose_run(*words, "trainer.max_epochs=1")
    caplog.set_level(logging.INFO)
    train(cfg)
    messages = [text for _, _, text in caplog.record_tuples]
    [warned] = [place for place, text in enumerate(messages) if text.startswith("validation has no examples")]
    [trained] = [place for place, text in enumerate(messages) if text.startswith("epoch 1/1")]
    assert warned < trained
    assert "rare (1)" in messages[warned]
    baseline = json.loads((Path(cfg.run.dir) / "result.json").read_text())["baseline"]
    assert baseline == {"class": "a", "val/acc": 6 / 9, "test/acc": 6 / 9}
    assert any("(always 'a': 0.6667)" in text for text in messages)


@pytest.mark.parametrize(
    ("choice", "problem"),
    [([1, 2], r"2 weights\n  accepted: one for each of the 3 classes"), ([0, 0, 0], "all examples have weight 0")],
)
def test_weights_for_other_classes_are_rejected(choice: list[float], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.class_weights=\[.*{problem}"):
        compute_class_weights(choice, LABELS, 3)


@pytest.mark.parametrize("weights", ["heavy", "[1,-2]", "2", "[1]"])
def test_invalid_weights_are_rejected(compose_run: Compose, weights: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.class_weights=.*none, balanced, or a list"):
        train(compose_run(f"data.class_weights={weights}"))


def test_only_the_training_loss_is_weighted() -> None:
    target = Classes(("a", "b", "c"), compute_class_weights([1, 2, 7], LABELS, 3))
    spec = DataSpec((1,), target, (Column("x"),), (0.0,), (1.0,))
    model = MLP(spec, hidden_dims=[])
    x = torch.randn(100, 1)
    logits = model(x).detach()
    each = F.cross_entropy(logits, LABELS, reduction="none")
    weights = torch.tensor(target.weights)
    loss = model.step((x, LABELS), "train").detach()
    assert float(loss) == pytest.approx(float((each * weights[LABELS]).mean()), rel=1e-5)
    assert float(loss) != pytest.approx(float(each.mean()), rel=1e-3)
    for stage in ("val", "test"):
        assert float(model.step((x, LABELS), stage).detach()) == pytest.approx(float(each.mean()), rel=1e-5)


def test_a_run_uses_class_weights(compose_run: Compose, tmp_path: Path) -> None:
    train(compose_run("optimizer.lr=0.01", "data.class_weights=[0,0,0,0,0,0,0,0,0,1]"))
    metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
    nines = Digits(batch_size=32).splits["test"].y == 9
    assert metrics["test/acc"] == pytest.approx(float(nines.float().mean())), "it predicts 9 for all"


class TensorImages(DataModule):
    """Images of a tensor."""

    kind = "images"
    classes = ("a", "b", "c")

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        super().__init__(batch_size=1)
        self.x, self.y = x, y

    def read(self) -> dict[str, Examples]:
        whole = Examples(self.x, self.y)
        return dict.fromkeys(("train", "val", "test"), whole)


def test_the_fingerprint_counts_examples_and_classes() -> None:
    y = torch.tensor([0] * 5 + [2] * 3)
    found = fingerprint(TensorImages(torch.zeros(8, 1, 2, 2, dtype=torch.uint8), y))
    assert set(found) == {"train", "val", "test"}
    counts = {name: found["train"][name] for name in ("examples", "classes", "least", "most")}
    assert counts == {"examples": 8, "classes": 2, "least": 3, "most": 5}


def test_labels_and_inputs_have_separate_digests() -> None:
    x, y = torch.zeros(8, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1] * 4)
    before = fingerprint(TensorImages(x, y))["train"]
    other_x, other_y = x.clone(), y.clone()
    other_x[3, 0, 1, 1] = 1
    other_y[[0, 1]] = other_y[[1, 0]]
    inputs, labels = fingerprint(TensorImages(other_x, y))["train"], fingerprint(TensorImages(x, other_y))["train"]
    assert [name for name in before if before[name] != inputs[name]] == ["inputs"]
    assert [name for name in before if before[name] != labels[name]] == ["labels"]


def test_the_memory_format_does_not_matter() -> None:
    x, y = torch.arange(96, dtype=torch.uint8).view(8, 3, 2, 2), torch.tensor([0, 1] * 4)
    assert fingerprint(TensorImages(x, y)) == fingerprint(TensorImages(x.to(memory_format=torch.channels_last), y))


def test_at_most_256_kib_are_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(60_000, 1, 28, 28, dtype=torch.uint8)
    sizes: list[int] = []

    def counted(values: torch.Tensor) -> str:
        sizes.append(values.numel() if values.dtype == torch.uint8 else 0)
        return tensor_digest(values)

    monkeypatch.setattr(statistics, "tensor_digest", counted)
    fingerprint(TensorImages(x, torch.zeros(60_000, dtype=torch.int64)))
    inputs = [size for size in sizes if size]
    assert len(inputs) == 3
    assert all(FINGERPRINT_BYTES // 2 < size <= FINGERPRINT_BYTES for size in inputs), "of each split"


def test_fingerprint_is_independent_of_placement_but_not_of_the_split() -> None:
    resident, streamed, other = (
        fingerprint(Digits(batch_size=64, resident=kept, seed=seed))
        for kept, seed in ((True, 0), (False, 0), (True, 1))
    )
    assert resident == streamed
    assert resident["train"]["examples"] == other["train"]["examples"]
    assert resident["train"]["inputs"] != other["train"]["inputs"]


def test_fingerprint_of_image_files(tmp_path: Path) -> None:
    root = tmp_path / "pixels"
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
