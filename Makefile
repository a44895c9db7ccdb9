# make demo: the whole loop, offline.  make test: all tests.  make test-fast: those that start no process, for every
# save.  Each makes .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo

# Where byte code is not kept, each of the hundreds of processes that tests start compiles the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-gpu lint pictures wheel-test guard bench site clean
.DELETE_ON_ERROR:

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = sys.version_info[:2] >= (3, 11); sys.exit(0 if ok else "Perceptogram Live needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make $(MAKECMDGOALS) PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/perceptogram demo --out $(OUT) --overwrite

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST)

test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not (processes or realtime or slow or gpu)" $(PYTEST)

test-gpu: $(VENV)/.installed
	$(BIN)/python -m pytest -m gpu

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.readme_table --check
	$(BIN)/python docs/write_configuration.py --check

wheel-test:
	PYTHON=$(PYTHON) .ci/wheel

pictures: $(VENV)/.installed
	$(BIN)/python docs/images/saving.py

guard: $(VENV)/.installed
	$(BIN)/python -m benchmarks.guard

site: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir out/site

bench: $(VENV)/.installed
	$(BIN)/perceptogram bench all

clean:
	rm -rf $(VENV) out
