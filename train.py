"""Train, test and record an experiment: `python train.py model=cnn optimizer=adam`; `--help` lists the options."""

import shlex
import sys
from importlib.util import find_spec


def environment_hint() -> str:
    """Return an error message with commands that use the right environment."""
    arguments = shlex.join(sys.argv[1:])
    return f"""\
train.py: Trainyard is not installed for this Python ({sys.executable})
  activate the environment:  source .venv/bin/activate    (Windows: .venv\\Scripts\\activate)
  or use its Python:         .venv/bin/python train.py {arguments}
  or create .venv first:     make train ARGS={shlex.quote(arguments)}"""


if __name__ == "__main__":
    if find_spec("trainyard") is None or find_spec("hydra") is None:
        sys.exit(environment_hint())
    from trainyard.cli.main import train

    train()
