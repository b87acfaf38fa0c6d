# `make site` and `make test` set up everything they need; `make help` lists the rest.
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup site test check bench clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## a virtual environment in .venv with metagan and its tools

$(STAMP): pyproject.toml scripts/setup.sh hatch_build.py $(wildcard metagan/live/kernel/*.[ch])
	PYTHON="$(PYTHON)" TORCH="$(TORCH)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $@

site: setup  ## build the default site into build/
	$(BIN)/metagan build
	@echo "Look at it with: $(BIN)/metagan serve"

test: check  ## everything that must hold: style, types, walls, docs, and the whole test suite

check: setup  ## the gate
	sh scripts/setup.sh browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

clean:  ## remove what the targets made
	rm -rf $(VENV) build .metagan
