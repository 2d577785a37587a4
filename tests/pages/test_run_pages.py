"""The commands of the course and of the guides print the output in their pages."""

import shlex
from pathlib import Path

import pytest
from run_pages import (
    Command,
    File,
    PageError,
    Picture,
    RemoteCommand,
    first_job,
    normalize_line,
    parse_page,
    run_page,
    update_output,
)

from trainyard.config.composition import compose

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.glob("course/[0-9]*.md"), *DOCS.glob("howto/*.md")])
QUICK = {"3_optimizers"}
GUIDES = {page.stem for page in DOCS.glob("howto/*.md")}
SLOW = {"2_deep_network", "4_learning_rate", "5_convolution", "6_transfer_learning", "7_thousand_experiments", *GUIDES}


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem not in SLOW], ids=lambda page: page.stem)
def test_page_matches_the_output_of_its_commands(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path, quick=page.stem in QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in SLOW | QUICK], ids=lambda page: page.stem)
def test_slow_page_matches_the_output_of_its_commands(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in SLOW], ids=lambda page: page.stem)
def test_commands_of_a_slow_page_compose(page: Path, tmp_path: Path) -> None:
    for step in parse_page(page):
        if isinstance(step, File) and step.path.startswith("conf/"):
            return  # a config that is not in the project
        if isinstance(step, Command) and step.command.startswith("python train.py") and "resume=" not in step.command:
            assert compose(shlex.split(first_job(step.command.partition(" --")[0]))[2:]).seed is not None


def test_course_pages_have_all_sections_and_pictures() -> None:
    pages = sorted(DOCS.glob("course/[0-9]*.md"))
    assert [page.stem[0] for page in pages] == list("1234567")
    for page in pages:
        text, kinds = page.read_text(encoding="utf-8"), [type(step) for step in parse_page(page)]
        assert "## Try\n" in text, page
        assert "## Question\n" in text, page
        assert Command in kinds, page
        assert Picture in kinds, page
        for step in parse_page(page):
            assert not isinstance(step, Picture) or (page.parent / step.path).is_file(), page


PAGE = """\
Text.

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


def test_steps_are_parsed_in_order(tmp_path: Path) -> None:
    page, _ = written(tmp_path, PAGE)
    assert list(parse_page(page)) == [
        File("hello.py", 'print("3 apples")\n'),
        Command(7, "python hello.py", ["2 apples"], fails=False),
        Command(9, "python -c \"open('a.png', 'w')\"", [], fails=False),
        Picture("images/a.png", "a.png"),
        RemoteCommand("python train.py -m model=mlp,cnn seed=1"),
    ]


def test_wrong_output_exit_code_picture_or_override_is_an_error(tmp_path: Path) -> None:
    page, folder = written(tmp_path, PAGE.replace("2 apples", "2 pears"))
    with pytest.raises(PageError, match=r"python hello.py\n  does not print: 2 pears"):
        run_page(page, folder)
    page.write_text("```console\n$ exit 3\n```\n", encoding="utf-8")
    with pytest.raises(PageError, match="exits with 3"):
        run_page(page, tmp_path / "other")
    page.write_text('![A](a.png "b.png")\n', encoding="utf-8")
    with pytest.raises(PageError, match=r"no command draws b\.png"):
        run_page(page, tmp_path / "third")
    page.write_text("```text\npython train.py modle=cnn\n```\n", encoding="utf-8")
    with pytest.raises(PageError, match="did you mean model"):
        run_page(page, tmp_path / "fourth")


def test_expected_output_is_updated() -> None:
    expected = [
        "epoch 1/2  loss 0.6500",
        "...",
        "epoch 2/2  loss 0.6500",
        "run  20260101-000000-mlp-digits-abcd",
        "curve ▁▂█",
    ]
    actual = [
        "x",
        "epoch 1/2  loss 0.7000",
        "epoch 2/2  loss  0.6000",
        "run  20270102-030405-mlp-digits-0123",
        "curve █▁",
    ]
    assert update_output(expected, actual) == [actual[1], "...", *actual[2:]]
    with pytest.raises(LookupError):
        update_output(["epoch 3/2  loss 0.6000"], actual)
    with pytest.raises(LookupError):
        update_output(["epoch 1/2  loss 0.9000"], actual)  # differs by more than the tolerance
    assert normalize_line("best 0.91  3.7e-06 in 4 s") == normalize_line("best 1.00  12.5 in 11 s")


def test_first_job_of_a_sweep() -> None:
    command = "python train.py -m model=cnn,mlp 'seed=range(3)' optimizer.lr='tag(log,interval(0.1,1))'"
    assert first_job(command) == "python train.py model=cnn seed=0 optimizer.lr=0.1"


def test_ranking_of_a_leaderboard_is_compared() -> None:
    expected = ["1     full    completed  0.90", "2 =   head    completed  0.88", "3     none    completed  0.85"]
    tied = ["1     full    completed  0.90", "2     none    completed  0.86", "3 =   head    completed  0.85"]
    assert update_output(expected, expected) == expected
    with pytest.raises(LookupError, match="none"):
        update_output(expected, tied)
    swapped = ["1     none    completed  0.90", "2 =   head    completed  0.88", "3     full    completed  0.85"]
    with pytest.raises(LookupError, match="full"):
        update_output(expected, swapped)
    assert update_output(expected[:2], ["1     full    completed  0.90", "3 =   head    completed  0.85"])
