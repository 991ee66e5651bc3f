# make demo | make test | make lint | make bench | make docs : each makes the environment it needs first.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: demo test lint bench docs clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[test,lint]"
	touch $@

demo: $(VENV)/.installed
	mkdir -p out
	$(BIN)/henderson fit "Reaction ~ Days + (Days | Subject)" src/henderson/datasets/data/sleepstudy.csv --plot out/sleepstudy.png

test: $(VENV)/.installed
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python bench/run.py

docs: $(VENV)/.installed
	$(BIN)/python docs/build.py

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache
