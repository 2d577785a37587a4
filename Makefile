# `make train ARGS="model=cnn optimizer=adam"` and `make test` install what they need, then run.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train test coverage test-slow fuzz kills soak extras pythons test-gpu test-slurm test-ray browser docs course check lint typecheck architecture docs-lint \
  benchmark benchmark-sweep tensorboard clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 24

train: .venv/installed  ## install if needed, then train: make train ARGS="model=cnn optimizer=adam"
	@$(BIN)/python train.py $(ARGS)

# One thread per process: with more threads than cores, the tests are up to ten times slower.
test: .venv/installed-dev  ## install the test tools if needed, then run the tests in up to four processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

coverage: .venv/installed-dev  ## run the tests with line coverage; takes 1.7 times as long
	$(BIN)/python -m pytest --cov

test-slow: .venv/installed-dev  ## run the tests that take half a minute or more; those of the terminal need tmux
	$(BIN)/python -m pytest -m slow

fuzz: .venv/installed-dev  ## test random overrides, tables and images for five minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bad_input.fuzz 300

kills: .venv/installed  ## kill runs and sweeps 220 times at random times and compare the results; takes half an hour
	$(BIN)/python scripts/kill_runs.py $(ARGS)

soak: .venv/installed-dev  ## run a sweep of 200 jobs with random faults; takes ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak -s tests/sweeps/test_soak.py

extras: .venv/installed  ## install each extra into a new environment and test it; takes ten minutes, needs network access
	$(BIN)/python scripts/check_environments.py wandb mlflow slurm ray export browser docs

pythons: .venv/installed  ## test other Python versions in new environments: make pythons ARGS="python3.10 python3.13"
	$(BIN)/python scripts/check_environments.py --python $(or $(ARGS),python3.10 python3.12 python3.13)

test-gpu: .venv/installed-dev  ## run the tests that need a CUDA GPU
	$(BIN)/python -m pytest -m gpu

test-slurm: .venv/installed-dev  ## install SLURM on this machine (Debian, as root) and run the tests that need it
	eval "$$(scripts/local_slurm.sh up)" && $(BIN)/python -m pytest -m slurm; \
	  code=$$?; scripts/local_slurm.sh down; exit $$code

test-ray: .venv/installed-dev  ## run a sweep on a Ray cluster of three nodes on this machine, and kill one; takes ten minutes
	$(PIP) install -c constraints.txt -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ray -s tests/sweeps/execution/test_ray_cluster.py

browser: .venv/installed-dev  ## check TensorBoard and the documentation in Chromium and update docs/images; installs Chromium on Debian, as root
	command -v chromium >/dev/null || apt-get install -y -qq chromium
	$(PIP) install -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m browser

docs: .venv/installed  ## build the documentation in build/site; warnings are errors
	$(PIP) install -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'view       $(BIN)/python -m http.server -d build/site'

course: .venv/installed-dev  ## execute the course and the guides, and write current output and pictures into them; takes ten minutes
	OMP_NUM_THREADS=1 $(BIN)/python scripts/run_pages.py --write docs/course/[1-9]*.md docs/howto/*.md

check: lint typecheck architecture docs-lint  ## all checks of the source code and of the documentation's text

lint: .venv/installed-dev  ## ruff: style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: .venv/installed-dev  ## mypy, strict
	$(BIN)/mypy

architecture: .venv/installed-dev  ## check the import layers, the length of functions and the use of private names
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_structure.py

docs-lint: .venv/installed-dev  ## check links, paths and lengths of the documentation
	$(BIN)/python scripts/check_docs.py

benchmark: .venv/installed  ## compare seconds per epoch with raw compute, a hand-written loop and plain Lightning
	$(BIN)/python scripts/benchmark_training.py $(ARGS)

benchmark-sweep: .venv/installed  ## compare jobs per minute with Hydra's own launcher and plain Lightning
	$(BIN)/python scripts/benchmark_sweep.py $(ARGS)

tensorboard: .venv/installed  ## show all runs in TensorBoard
	$(BIN)/tensorboard --logdir outputs

clean:  ## remove the environment, caches and builds, but not outputs/
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian without python3-venv has no ensurepip: then the system's pip installs pip into the environment.
.venv/bin/python:
	$(PYTHON) -m venv .venv 2>/dev/null || \
	  { rm -rf .venv && $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip -q --python .venv/bin/python install pip; }

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
