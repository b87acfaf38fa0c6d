# `make site` and `make test` set up everything they need; `make help` lists the rest.
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
BIN    := $(VENV)/bin
MINUTES  ?= 60
FUZZ_OUT ?= runs/fuzz
STAMP  := $(VENV)/.installed

DOCS := $(BIN)/python scripts/docs_tables.py

.PHONY: help setup site test check quick docs bench fuzz weights screenshot clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## a virtual environment in .venv with metagan and its tools

$(STAMP): pyproject.toml scripts/setup.sh hatch_build.py $(wildcard metagan/live/kernel/*.[ch] metagan/live/kernel/native/*.[ch])
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
	$(DOCS) --check
	$(BIN)/python -m compileall -q metagan  # where nothing writes bytecode, each program that a test starts would compile it
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

# Tests that start a browser, train, build sites or compile: longer than one waits after a save.
SLOW := site/browser site/build site/serve live fuzz lab training drawings collection export experiments \
	cli/test_train.py cli/test_serve.py cli/test_upscale.py evaluation/test_inception.py networks/stylegan2/test_native.py \
	checkpoints/test_hostile.py test_python.py scripts/test_make_weights.py datasets/test_pool.py \
	networks/loading/test_odd_attributes.py networks/loading/test_mutations.py networks/loading/test_hostile.py \
	networks/stylegan3/test_load.py checkpoints/test_vectors.py cli/test_metagan.py cli/test_check.py \
	site/publish/test_publish_branch.py site/pages/test_render.py evaluation/test_quality.py \
	cli/test_file_names.py scripts/test_notebook.py benchmarks networks/loading/test_loading.py networks/vqgan

quick: setup  ## style and the quick tests, for every save: no browser, no training
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n 2 -q $(addprefix --ignore=tests/,$(SLOW))

docs: setup  ## write --help, tables and figures into the docs
	$(DOCS)

bench: setup  ## measure, and write the figures into the docs
	$(BIN)/python -m benchmarks
	$(DOCS)

fuzz: setup  ## feed the readers mutated weights files for MINUTES (60), by SEED; findings go to runs/fuzz
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --out $(FUZZ_OUT)

weights: setup  ## draw the collections and train the bundled generators (hours)
	$(BIN)/python scripts/weights.py --runs $(or $(RUNS),runs)

screenshot: setup  ## take the screenshot in README
	sh scripts/setup.sh browser
	$(BIN)/python -m scripts.screenshot

clean:  ## remove what the targets made
	rm -rf $(VENV) build .metagan
