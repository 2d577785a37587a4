# `make train ARGS="model=cnn optimizer=adam"` and `make test` do everything, from an empty machine on.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train test coverage test-slow fuzz kills soak extras pythons test-gpu test-slurm browser docs course check lint typecheck architecture \
  benchmark benchmark-sweep tensorboard clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 24

train: .venv/installed  ## install if needed, then train: make train ARGS="model=cnn optimizer=adam"
	@$(BIN)/python train.py $(ARGS)

# One thread each: processes whose threads are more than the cores wait for each other, ten times as long.
test: .venv/installed-dev  ## install the test tools if needed, then run the tests, up to four at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

coverage: .venv/installed-dev  ## the tests, and which lines they reach; takes 1.7 times as long
	$(BIN)/python -m pytest --cov

test-slow: .venv/installed-dev  ## the tests that take half a minute each, such as torch.compile; those of the terminal need tmux
	$(BIN)/python -m pytest -m slow

fuzz: .venv/installed-dev  ## bad words, tables and pictures at random for five minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bad_input.fuzz 300

kills: .venv/installed  ## kill runs and sweeps 220 times at random moments and compare their ends; takes half an hour
	$(BIN)/python scripts/kill_runs.py $(ARGS)

soak: .venv/installed-dev  ## a sweep of 200 jobs that go wrong at random; takes ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak -s tests/sweeps/test_soak.py

extras: .venv/installed  ## install each extra into a fresh environment and use it; takes ten minutes and needs a network
	$(BIN)/python scripts/check_environments.py wandb mlflow slurm ray export browser docs

pythons: .venv/installed  ## the same with other versions of Python: make pythons ARGS="python3.10 python3.13"
	$(BIN)/python scripts/check_environments.py --python $(or $(ARGS),python3.10 python3.12 python3.13)

test-gpu: .venv/installed-dev  ## what only a CUDA GPU can show
	$(BIN)/python -m pytest -m gpu

test-slurm: .venv/installed-dev  ## sweeps, a requeue and two tasks through a real SLURM: Debian, as root
	eval "$$(scripts/single_node_slurm.sh up)" && $(BIN)/python -m pytest -m slurm; \
	  code=$$?; scripts/single_node_slurm.sh down; exit $$code

browser: .venv/installed-dev  ## TensorBoard's pages, kept in docs/images, and these docs, in a real browser: Debian, as root where Chromium is missing
	command -v chromium >/dev/null || apt-get install -y -qq chromium
	$(PIP) install -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m browser

docs: .venv/installed  ## the documentation as a site, build/site/index.html; what it lacks is an error
	$(PIP) install -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'look       $(BIN)/python -m http.server -d build/site'

course: .venv/installed-dev  ## run every page of the course and the guides again, with today's output and new pictures: ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python scripts/run_pages.py --write docs/course/[1-9]*.md docs/howto/*.md

check: lint typecheck architecture  ## lint, typecheck and architecture

lint: .venv/installed-dev  ## ruff: style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: .venv/installed-dev  ## mypy, strict
	$(BIN)/mypy

architecture: .venv/installed-dev  ## imports point downwards, functions are short, private names are rare
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_structure.py

benchmark: .venv/installed  ## seconds an epoch beside the arithmetic, a hand-written loop and plain Lightning
	$(BIN)/python scripts/benchmark_training.py $(ARGS)

benchmark-sweep: .venv/installed  ## jobs a minute, one and two at a time, beside Hydra's own launcher over plain Lightning
	$(BIN)/python scripts/benchmark_sweep.py $(ARGS)

tensorboard: .venv/installed  ## look at all runs in the browser
	$(BIN)/tensorboard --logdir outputs

clean:  ## remove the environment, caches and builds; outputs/ stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Debian without python3-venv has no ensurepip: there pip, which is there, installs itself into the environment.
.venv/bin/python:
	$(PYTHON) -m venv .venv 2>/dev/null || \
	  { rm -rf .venv && $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip -q --python .venv/bin/python install pip; }

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
