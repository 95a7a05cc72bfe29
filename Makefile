# Each target is a few lines; `make help` lists them. Without make, run the same lines by hand.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help book pdf export test lint lab edit grids claims bench clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

$(READY): requirements.txt requirements-run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(READY)  ## execute every chapter on embedded data, write _build/html
	$(BIN)/python -m medpriv book

pdf: $(READY)  ## the same as one PDF in _build/pdf (prints with Chromium)
	$(BIN)/python -m medpriv pdf

export: $(READY)  ## write _build/notebooks: the chapters for Colab and Binder
	$(BIN)/python -m medpriv export

# A process for each core, of one thread: two threads of one test gain little beside others.
test: lint  ## run every test, each chapter included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

lint: $(READY)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint medpriv

# The settings are for this JupyterLab only: they switch off the extension that `make edit` needs. With
# the path a notebook can call what is in experiments/, as chapter 06 proposes.
lab: $(READY)  ## open your own copies of the chapters in JupyterLab
	$(BIN)/python -m medpriv lab
	JUPYTER_CONFIG_PATH="$(CURDIR)/_build/lab$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" $(BIN)/jupyter lab notebooks

edit: $(READY)  ## for authors: open the chapters' own text in JupyterLab
	$(BIN)/python -m medpriv pair
	$(BIN)/jupyter lab chapters

grids: $(READY)  ## make the recorded sweeps again
	$(BIN)/python -m medpriv grids

claims: $(READY)  ## run the chapters' claims over their seeds and data sets
	$(BIN)/python -m medpriv claims

bench: $(READY)  ## measure beside peers
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/run.py

clean:  ## remove what was built, and .venv; your notebooks stay
	rm -rf _build .venv *.egg-info chapters/*.ipynb .ruff_cache
