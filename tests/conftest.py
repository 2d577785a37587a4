"""What the tests share: runs composed into a temporary folder."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig

from trainyard.config import compose

Compose = Callable[..., DictConfig]


@pytest.fixture
def compose_run(tmp_path: Path) -> Compose:
    """Compose a run that lies in `tmp_path/run` and takes a second."""

    def composed(*overrides: str, folder: str = "run") -> DictConfig:
        return compose([f"hydra.run.dir={tmp_path / folder}", "trainer.max_epochs=2", *overrides])

    return composed


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what runs cache out of the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINYARD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Leave no handler of a test's run to the next."""
    before = list(logging.getLogger().handlers)
    yield
    left = [handler for handler in logging.getLogger().handlers if handler not in before]
    assert not left, "a run left its log open"
