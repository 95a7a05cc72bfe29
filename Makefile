# Each target is a few lines; `make help` lists them. Without make, run the same lines by hand.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help book test lint lab notebooks grids claims bench clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(READY)  ## execute every chapter on embedded data, write _build/html
	$(BIN)/python -m medpriv book

test: lint  ## run every test, each chapter included
	$(BIN)/python -m pytest

lint: $(READY)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lab: notebooks  ## open the chapters in JupyterLab
	$(BIN)/jupyter lab chapters

notebooks: $(READY)  ## pair each chapter with an .ipynb
	$(BIN)/python -m medpriv pair

grids: $(READY)  ## make the recorded sweeps again
	$(BIN)/python -m medpriv grids

claims: $(READY)  ## run the chapters' claims over their seeds and data sets
	$(BIN)/python -m medpriv claims

bench: $(READY)  ## measure beside peers
	$(BIN)/python benchmarks/run.py

clean:  ## remove what was built, and .venv
	rm -rf _build .venv *.egg-info chapters/*.ipynb .ruff_cache
