# What a newcomer types. `make` alone lists the targets.

PYTHON ?= python3
# Versions the tests run with. They are for Python 3.11 and later: on 3.10 say `make CONSTRAINTS= test`.
CONSTRAINTS ?= constraints.txt
EXTRAS := test,dev,real

BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo install test real check format soak bench bench-command bench-training bench-fusion bench-evaluation bench-pass \
	bench-rates bench-second bench-memory lab-check lab-grid adapter-types constraints wheel try-wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.demo  ## make .venv with the package alone, and run the main job on the lab: minutes, no data, no network after the install
	$(BIN)/adapterstilts demo

# A full installation serves as well.
.venv/.demo: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -e $(STAMP) || $(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e .
	@touch $@

install: $(STAMP)  ## make .venv and install the package into it, editable, with all extras

$(STAMP): pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e ".[$(EXTRAS)]"
	@touch $@

test: $(STAMP)  ## run all tests
	$(BIN)/python -m pytest

# Options of `make real`, such as REAL="--rows 8".
REAL ?=

real: $(STAMP)  ## every task on real text (ADAPTERSTILTS_DATA_ROOT), into benchmarks/REAL.md: an hour or so on two cores
	$(BIN)/python -m pytest -m real
	$(BIN)/python benchmarks/real_check.py $(REAL)

check: $(STAMP)  ## ruff (rules, format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(STAMP)  ## two hundred processes killed at random moments, five hundred damaged artifacts
	ADAPTERSTILTS_KILLS=200 ADAPTERSTILTS_DAMAGES=500 $(BIN)/python -m pytest --timeout 7200 tests/test_killed.py \
	  tests/cli/test_pull_damaged.py

bench: bench-command bench-training bench-fusion bench-evaluation bench-pass bench-rates bench-second bench-memory  ## all benchmarks, one after the other: hours on an idle machine

bench-command: $(STAMP)  ## start-up, and our command beside a script written by hand (ADAPTERSTILTS_DATA_ROOT)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/hand_written.py

bench-training: $(STAMP)  ## a training step beside adapters' trainer and PEFT, into benchmarks/TRAINING.md (ADAPTERSTILTS_DATA_ROOT)
	$(BIN)/python benchmarks/training.py

bench-fusion: $(STAMP)  ## our fusion of adapters beside the library's, into benchmarks/FUSION.md: 15 minutes or so on two cores
	$(BIN)/python benchmarks/fusion.py

bench-evaluation: $(STAMP)  ## our evaluation beside the libraries', into benchmarks/EVALUATION.md (ADAPTERSTILTS_DATA_ROOT, faiss): 40 minutes
	$(BIN)/python benchmarks/evaluation.py

bench-pass: $(STAMP)  ## several compositions in one pass, into benchmarks/ONE_PASS.md (ADAPTERSTILTS_DATA_ROOT)
	$(BIN)/python benchmarks/one_pass.py

bench-rates: $(STAMP)  ## five learning rates with dropped layers beside adapters' own trainer, into benchmarks/LEARNING_RATES.md (needs ADAPTERSTILTS_DATA_ROOT)
	$(BIN)/python benchmarks/learning_rates.py

bench-second: $(STAMP)  ## what a second composition costs that shares stages, into benchmarks/SECOND_COMPOSE.md
	$(BIN)/python benchmarks/second_compose.py

bench-memory: $(STAMP)  ## peak memory of a training, ours beside the library's (ADAPTERSTILTS_DATA_ROOT), into benchmarks/MEMORY.md
	$(BIN)/python benchmarks/memory.py

lab-check: $(STAMP)  ## what the lab must show: three seeds of everything, into benchmarks/LAB.md (an hour or so on two cores)
	$(BIN)/python benchmarks/lab_check.py

lab-grid: $(STAMP)  ## every intermediate task under every target of the lab, into benchmarks/LAB_GRID.md (two hours or so on one core)
	$(BIN)/python benchmarks/lab_grid.py

adapter-types: $(STAMP)  ## what each kind of adapter can do, into docs/adapters.md (a quarter of an hour or so on two cores)
	$(BIN)/python benchmarks/adapter_types.py

wheel: $(STAMP)  ## build the wheel into dist/
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

try-wheel: wheel  ## install the wheel into an environment of its own, build/venv, and start it from elsewhere
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) dist/*.whl
	cd / && "$(CURDIR)/build/venv/bin/adapterstilts" --version

# To move to newer versions: .venv/bin/pip install --upgrade ..., make test, make constraints.
constraints: $(STAMP)  ## write the versions in .venv to constraints.txt
	@{ echo '# Versions that the tests run with, for pip install -c. A record, not a demand: the ranges are in pyproject.toml.'; \
	   $(BIN)/python -c 'import sys; print("# Made with Python %d.%d by: make constraints" % sys.version_info[:2])'; \
	   echo '# Some of these versions do not exist for Python 3.10; there, install without this file.'; \
	   $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' | sed 's/+[^ ]*$$//'; \
	} > constraints.new
	@mv constraints.new constraints.txt && touch $(STAMP)
	@echo "constraints.txt: $$(grep -c == constraints.txt) packages"

clean:  ## remove .venv, builds and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
