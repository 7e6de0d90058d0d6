# `make demo` and `make test` do all their own set-up: they need Python 3.11 or newer and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA ?= ../shared/data
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL := $(PIP) -c constraints.txt

.PHONY: demo test test-lowest check nano real bench docs clean
.DEFAULT_GOAL := demo

.venv/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	touch $@

.venv/core: .venv/made pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

.venv/dev: .venv/made pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev]'
	touch $@ .venv/core

# The paper in small on the embedded backbone, in nine to twelve minutes. Results in runs/demo/.
demo: .venv/core
	$(BIN)/skingpt demo --out runs/demo

# Every test; no network, no GPU. Two processes with one thread each.
test: .venv/dev
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# The lowest versions that pyproject.toml allows, beside the rest: quick tests of what meets them.
.venv/lowest: .venv/dev constraints-lowest.txt
	rm -rf $@
	$(PIP) --no-deps --target $@ -r constraints-lowest.txt
	touch $@

MEETS_LIBRARIES := tests/model tests/parity tests/stats tests/ratings tests/test_records.py tests/test_runs.py tests/data/test_intake.py tests/dermcot/test_publish.py tests/cli/test_cli_main.py
test-lowest: .venv/lowest
	CUDA_VISIBLE_DEVICES= PYTHONPATH=.venv/lowest OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(MEETS_LIBRARIES)

# Lint, format, types and the rules of the layout.
check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py tests/test_layout.py tests/test_exports.py tests/test_docs.py

# Builds the embedded backbone again, from nothing; about an hour on two cores.
nano: .venv/core
	$(BIN)/python -m tools.nano.build

# The same rows on real photos: DATA holds pad_ufes_20/ and ham10000/. Results in runs/real/<data set>/.
real: .venv/core
	$(BIN)/skingpt real $(DATA) --out runs/real

# Speed and memory, each as a ratio measured in one run. bench/seven_b.py needs a GPU and is run by hand.
bench: .venv/core
	$(BIN)/python bench/distill.py
	$(BIN)/python bench/decode.py
	$(BIN)/python bench/judging.py
	$(BIN)/python bench/batched_generation.py
	$(BIN)/python bench/candidate_likelihood.py
	$(BIN)/python bench/report_size.py
	$(BIN)/python bench/corpus_memory.py

docs: .venv/dev
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
