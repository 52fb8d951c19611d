# make demo    the main job from start to report, in DOMAIN=stem, fluid or driving; make test    every check.
# Both make .venv first where it is missing or older than what it is made from.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOMAIN ?= stem
# Any Python from 3.11 on; `make PYTHON=/path/to/python test` chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

.PHONY: demo test

demo: $(READY)
	$(BIN)/sciworld demo $(DOMAIN) --out runs/demo-$(DOMAIN)

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: install one, or say make PYTHON=/path/to/python"; exit 1; }
	@echo "Making $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
