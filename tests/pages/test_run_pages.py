"""Every command of the course and of the guides does what its page says."""

import shlex
from pathlib import Path

import pytest
from page import Command, Elsewhere, File, Picture, refreshed, shape, steps
from run_pages import PageError, one_job, run_page

from trainyard.config.composition import compose

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.glob("course/[0-9]*.md"), *DOCS.glob("howto/*.md")])
SHORTENED = {"2_deep_network", "3_optimizers", "4_learning_rate", "7_thousand_experiments"}
LATER = {"5_convolution", "6_transfer_learning", *(page.stem for page in DOCS.glob("howto/*.md"))} - {"own_model"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in LATER], ids=lambda page: page.stem)
def test_a_page_says_what_its_commands_do(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path, quick=page.stem in SHORTENED)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in LATER | SHORTENED], ids=lambda page: page.stem)
def test_a_long_page_says_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in LATER], ids=lambda page: page.stem)
def test_what_a_long_page_trains_composes(page: Path, tmp_path: Path) -> None:
    for step in steps(page):
        if isinstance(step, File) and step.path.startswith("conf/"):
            return  # an option of its own, which is not in the project
        if isinstance(step, Command) and step.typed.startswith("python train.py") and "resume=" not in step.typed:
            assert compose(shlex.split(one_job(step.typed.partition(" --")[0]))[2:]).seed is not None


def test_every_page_of_the_course_has_its_parts() -> None:
    pages = sorted(DOCS.glob("course/[0-9]*.md"))
    assert [page.stem[0] for page in pages] == list("1234567")
    for page in pages:
        text, kinds = page.read_text(encoding="utf-8"), [type(step) for step in steps(page)]
        assert "## Try\n" in text, page
        assert "## Question\n" in text, page
        assert Command in kinds, page
        assert Picture in kinds, page
        for step in steps(page):
            assert not isinstance(step, Picture) or (page.parent / step.path).is_file(), page


PAGE = """\
Words.

```python title="hello.py"
print("3 apples")
```

```console
$ python hello.py
2 apples
$ python -c "open('a.png', 'w')"
```

![A](images/a.png "a.png")

```text
python train.py -m model=mlp,cnn seed=1
```
"""


def written(tmp_path: Path, text: str) -> tuple[Path, Path]:
    page, folder = tmp_path / "page.md", tmp_path / "folder"
    page.write_text(text, encoding="utf-8")
    folder.mkdir()
    return page, folder


def test_a_page_is_read_in_order(tmp_path: Path) -> None:
    page, _ = written(tmp_path, PAGE)
    assert list(steps(page)) == [
        File("hello.py", 'print("3 apples")\n'),
        Command(7, "python hello.py", ["2 apples"], fails=False),
        Command(9, "python -c \"open('a.png', 'w')\"", [], fails=False),
        Picture("images/a.png", "a.png"),
        Elsewhere("python train.py -m model=mlp,cnn seed=1"),
    ]


def test_what_is_not_printed_or_fails_or_is_not_drawn_is_an_error(tmp_path: Path) -> None:
    page, folder = written(tmp_path, PAGE.replace("2 apples", "2 pears"))
    with pytest.raises(PageError, match=r"python hello.py\n  does not print: 2 pears"):
        run_page(page, folder)
    page.write_text("```console\n$ exit 3\n```\n", encoding="utf-8")
    with pytest.raises(PageError, match="ends with 3"):
        run_page(page, tmp_path / "other")
    page.write_text('![A](a.png "b.png")\n', encoding="utf-8")
    with pytest.raises(PageError, match=r"no command has drawn b\.png"):
        run_page(page, tmp_path / "third")
    page.write_text("```text\npython train.py modle=cnn\n```\n", encoding="utf-8")
    with pytest.raises(PageError, match="did you mean model"):
        run_page(page, tmp_path / "fourth")


def test_output_is_replaced_by_what_is_printed_now() -> None:
    shown = [
        "epoch 1/2  loss 0.6500",
        "...",
        "epoch 2/2  loss 0.6500",
        "run  20260101-000000-mlp-digits-abcd",
        "curve ▁▂█",
    ]
    printed = [
        "x",
        "epoch 1/2  loss 0.7000",
        "epoch 2/2  loss  0.6000",
        "run  20270102-030405-mlp-digits-0123",
        "curve █▁",
    ]
    assert refreshed(shown, printed) == [printed[1], "...", *printed[2:]]
    with pytest.raises(LookupError):
        refreshed(["epoch 3/2  loss 0.6000"], printed)
    with pytest.raises(LookupError):
        refreshed(["epoch 1/2  loss 0.9000"], printed)  # another number than rounding explains
    assert shape("best 0.91  3.7e-06 in 4 s") == shape("best 1.00  12.5 in 11 s")


def test_the_first_job_of_a_sweep_stands_for_it() -> None:
    typed = "python train.py -m model=cnn,mlp 'seed=range(3)' optimizer.lr='tag(log,interval(0.1,1))'"
    assert one_job(typed) == "python train.py model=cnn seed=0 optimizer.lr=0.1"


def test_the_ranking_of_a_leaderboard_is_compared() -> None:
    shown = ["1     full    completed  0.90", "2 =   head    completed  0.88", "3     none    completed  0.85"]
    tied = ["1     full    completed  0.90", "2     none    completed  0.86", "3 =   head    completed  0.85"]
    assert refreshed(shown, shown) == shown
    with pytest.raises(LookupError, match="none"):
        refreshed(shown, tied)
    swapped = ["1     none    completed  0.90", "2 =   head    completed  0.88", "3     full    completed  0.85"]
    with pytest.raises(LookupError, match="full"):
        refreshed(shown, swapped)
    assert refreshed(shown[:2], ["1     full    completed  0.90", "3 =   head    completed  0.85"])
