"""Packages and hardware, those first that matter."""

from trainyard.history.environment import hardware_changes, package_changes


def test_the_packages_that_results_depend_on_come_first() -> None:
    before = {"python": "3.11.7", "packages": {"torch": "2.12", "absl": "1", "rich": "1", "numpy": "1", "same": "1"}}
    after = {"python": "3.12.0", "packages": {"torch": "2.13", "absl": "2", "rich": "2", "numpy": "2", "same": "1"}}
    lines = ["python 3.11.7 -> 3.12.0", "torch 2.12 -> 2.13", "numpy 1 -> 2", "2 others: absl, rich"]
    assert package_changes(before, after) == lines
    assert package_changes({"packages": {}}, {"packages": {"torch": "2"}}) == ["torch none -> 2"]
    assert package_changes(before, before) == []


def test_hardware_is_compared_where_both_noted_it() -> None:
    before = {"hardware": {"gpus": [], "threads": 1, "cores": 2, "machine": "x86_64"}}
    after = {"hardware": {"gpus": ["H100"], "threads": 2, "cores": 2, "machine": "x86_64", "instructions": "AVX2"}}
    assert hardware_changes(before, after) == ["gpus none -> H100", "threads 1 -> 2"]
