# `make run` and `make test` do everything from a fresh clone; both build .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test test-slow lint wheel-test reproduce clean

run: $(VENV)/installed
	$(BIN)/pinn run pinn.toml

test: $(VENV)/installed
	$(BIN)/pytest -n auto --dist loadfile -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/pytest -m slow

reproduce: $(VENV)/installed
	$(BIN)/python -m benchmarks.reproduction

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	mkdir -p build/types/pinn
	for room in core plugins problems analyzers; do ln -sfn ../../../$$room build/types/pinn/$$room; done
	$(BIN)/mypy

wheel-test: $(VENV)/installed
	PYTHON=$(BIN)/python bash .ci/test-wheel

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist runs *.egg-info
