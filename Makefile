# Each target does its own set-up: a virtual environment in .venv, with everything in requirements-dev.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: install demo test check bench notebooks docs clean

$(READY): requirements-dev.txt pyproject.toml langmem_adapter/pyproject.toml llamaindex_adapter/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements-dev.txt  # compiled where used
	touch $(READY)

install: $(READY)  ## the virtual environment that every target needs

demo: $(READY)  ## extraction and merging over several days; ARGS=--no-model does without a model
	$(BIN)/python -m holdfast.demo $(ARGS)

# Tests write small files all the time: to memory, where there is enough of it.
SCRATCH := $(shell $(PYTHON) -c "import os, shutil; shm = '/dev/shm'; \
	print('TMPDIR=' + shm if os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 4 << 30 else '')" 2>/dev/null)

test: $(READY)  ## the whole suite, three tests at a time: many wait for a process or a server
	PYTHONDONTWRITEBYTECODE= $(SCRATCH) $(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: $(READY)  ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## overhead, size and start-up; see bench/README.md for the rest
	$(BIN)/python -m bench.cost.index_speed
	$(BIN)/python -m bench.cost.overhead

notebooks: $(READY)  ## execute the notebooks in place
	$(BIN)/jupyter-execute --inplace notebooks/*.ipynb

docs: $(READY)  ## the documentation's site, in build/site; links that lead nowhere end it
	$(BIN)/python docs/build.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
