# Everything a checkout needs; `make` alone lists the targets.
# PYTHON  the interpreter that creates the environment (3.11 or newer)
# VENV    where the environment lives

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := --extra dev --extra gymnasium --extra play --extra video --extra ray --extra optuna
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-annotate --custom-compile-command "make lock"
# Files run side by side: most of the time goes into compiling, which uses one core.
TEST_WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest

# Tests compile the same programs again and again. Benchmarks must not see this cache: they report
# compile time.
test test-slow wheel-test: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
# Every file starts without compiled programs, so that small ones are worth keeping too.
test test-slow: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.1
# Most programs run a few times: without optimisations they compile in half the time. Those that
# run for long (tests/compiling.py) have the optimisations that cost little.
test: export JAX_DISABLE_MOST_OPTIMIZATIONS ?= 1
test: export XLA_FLAGS ?= --xla_backend_optimization_level=1

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-slow wheel-test lint format bench docs-images lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv with the locked versions and this package, editable

quickstart: install ## train, evaluate under visual shifts, write runs/quickstart
	$(BIN)/kagebench quickstart

test: install ## the default tests
	$(PYTEST) -n $(TEST_WORKERS) --dist loadfile

test-slow: install ## the tests that take long
	$(PYTEST) -n $(TEST_WORKERS) --dist loadfile -m "slow and not gpu"

wheel-test: install ## build the wheel and use it outside the checkout
	$(PYTEST) tests/test_wheel.py

lint: install ## formatting, lint rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: install ## reformat and apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## the throughput table of docs/performance.md, into runs/bench
	mkdir -p runs/bench
	$(BIN)/kagebench bench table --json runs/bench/throughput.json
	$(BIN)/python -m sweeps.bench_seeds --json runs/bench/seeds.json

bench-%: install ## what is measured about an algorithm: make bench-dqn, long
	$(BIN)/python -m sweeps.evidence $*

docs-images: install ## draw the art pack and the pictures of the docs again
	$(BIN)/python -m kagebench.assets.draw --out kagebench/assets/pack --sheets docs/images
	$(BIN)/kagebench gallery --output docs/images/gallery.png

lock: install ## resolve the newest allowed versions into requirements/
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) --output-file requirements/core.txt
	$(LOCK) $(EXTRAS) --constraints requirements/core.txt --output-file requirements/dev.txt

clean: ## remove the environment, caches and build products, but no results
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "kagebench needs Python 3.11 or newer, $(PYTHON) is not: make PYTHON=python3.11" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

# Order-only: the interpreter's own time stamp says nothing about what is installed.
$(INSTALLED): requirements/dev.txt pyproject.toml kagebench/_version.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
