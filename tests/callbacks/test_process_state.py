"""The state of a single process."""

import logging
import pickle
from pathlib import Path

from trainyard.callbacks.process_state import SpawnedLog
from trainyard.logs import close_log


def test_a_spawned_process_opens_the_log(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    pickle.loads(pickle.dumps(SpawnedLog(tmp_path / "run.log")))
    opened = [handler for handler in logging.getLogger().handlers if handler not in before]
    logging.getLogger("trainyard").info("from the other side")
    close_log(opened)
    assert "from the other side" in (tmp_path / "run.log").read_text()
