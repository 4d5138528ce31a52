# `make run` and `make test` do everything from a fresh clone; both build .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test test-slow lint docs links wheel-test reproduce clean

run: $(VENV)/installed
	$(BIN)/pinn run pinn.toml

test: $(VENV)/installed
	$(BIN)/pytest -n auto --dist worksteal -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/pytest -m slow

# SCALE=recorded, laptop or paper; MINUTES=8 stops after so long, and the same command goes on from there.
SCALE ?= recorded
reproduce: $(VENV)/installed
	$(BIN)/python -m benchmarks.reproduction $(SCALE) $(if $(MINUTES),--minutes $(MINUTES))

lint: $(VENV)/installed links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/installed links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The folders under the names that they are imported by, for what reads the source.
links:
	mkdir -p build/types/pinn
	for room in core engine plugins problems analyzers testing; do ln -sfn ../../../$$room build/types/pinn/$$room; done

wheel-test: $(VENV)/installed
	PYTHON=$(BIN)/python bash .ci/test-wheel

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIPFLAGS) -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist runs *.egg-info
