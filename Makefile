# Everything here sets itself up in .venv first; a second run installs nothing.
PYTHON ?= python3
BIN := .venv/bin
# More words for pytest: make test ARGS="-k sse -x"
ARGS ?=
# Tests of one file share what they prepare, so that a file is one worker's (loadfile).
# Many tests wait for processes and sockets: more workers than cores are quicker where cores are few.
WORKERS ?= $(shell [ "$$(getconf _NPROCESSORS_ONLN)" -ge 4 ] && echo 4 || echo 3)
# Compiled modules are kept, whatever the environment says: else each command compiles anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench bench-local bench-metrics size wheels test-slow test-data test-servers test-ray test-readers test-random docs fuzz torture changelog ready-demo ready-test python

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

install: python  ## Install aisb into the active environment; WITH=hf adds more
	@$(PYTHON) tools/workspace.py install $(WITH)

demo: ready-demo  ## Evaluate the built-in simulator on the built-in task
	@$(BIN)/aisb run --models sim --datasets demo_gsm8k

test: ready-test  ## Run the tests; they need no model server and no data
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --timeout 600 -m "not servers and not data and not slow and not ray" $(ARGS)

lint: ready-test  ## Check style, types, and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tools/import_contracts.py
	@$(BIN)/python tools/api_check.py

bench: ready-test  ## Print every number that has a limit, next to its limit
	@over=; for file in $(filter-out benchmarks/local.py,$(wildcard benchmarks/[a-z]*.py)); do \
	  echo "$$file"; began=$$(date +%s); $(BIN)/python $$file || over="$$over $$file"; \
	  echo "($$(( $$(date +%s) - began )) s)"; echo; \
	done; \
	if test -n "$$over"; then echo "over a limit, or failed:$$over"; exit 1; fi; \
	echo "every limit held"

bench-local: ready-test  ## Compare a local model with two others ($AISB_HF_MODEL)
	@$(BIN)/python benchmarks/local.py

bench-metrics: ready-test  ## Compute a log of 250,000 requests (9 GB on disk) and weigh it
	@$(BIN)/python benchmarks/metrics.py 1

size: ready-test  ## Weigh what `pip install aisb` brings
	@$(BIN)/python tools/workspace.py size

wheels: ready-test  ## Build a wheel of every distribution into wheels/
	@rm -rf wheels
	@$(BIN)/python tools/workspace.py wheels wheels

test-slow: ready-test  ## Run the tests that take seconds of a core each
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "slow and not servers and not data and not ray" --timeout 600 $(ARGS)

test-data: ready-test  ## Run the tests that read the data sets in $AISB_DATA
	@test -n "$$AISB_DATA" || { echo "AISB_DATA is not set: let it name the folder with the data sets"; exit 2; }
	@$(BIN)/pytest -m data $(ARGS)

test-servers: ready-test  ## Run the tests that ask real servers that are installed
	@$(BIN)/python tests/servers/real_servers.py setup llamacpp || echo "llama.cpp cannot be installed here"
	@$(BIN)/pytest -m servers -rs $(ARGS)

test-ray: ready-test  ## Run the tests on a Ray cluster of their own; installs ray
	@$(PYTHON) tools/workspace.py add ray
	@$(BIN)/pytest -m ray --timeout 1800 plugins/launchers/ray $(ARGS)

test-readers: ready-test  ## Run the tests of other formats with their own tools
	@test -x .readers/bin/every_eval_ever || $(BIN)/python plugins/reporters/exchange/tests/foreign_readers.py .readers
	@AISB_READERS=$(CURDIR)/.readers $(BIN)/pytest --timeout 600 plugins/reporters/exchange $(ARGS)

test-random: ready-test  ## Run the property tests on examples that are drawn anew
	@$(BIN)/pytest -n $(WORKERS) --timeout 600 --hypothesis-profile=default \
	  $$(grep -rlE "^from hypothesis import" --include="test_*.py" tests plugins) $(ARGS)

fuzz: ready-test  ## Feed the readers of replies what none should send, MINUTES=10
	@mkdir -p fuzz && cd fuzz && for target in replies events; do \
	  ../$(BIN)/python ../tests/fuzz/fuzz.py $$target -max_total_time=$$(( $(or $(MINUTES),10) * 30 )) \
	    -print_final_stats=1 || exit 1; done

torture: ready-test  ## Disturb runs, and compare with undisturbed ones, MINUTES=10
	@$(BIN)/python tests/torture/torture.py --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0) --keep torture

docs: ready-test  ## Build the documentation site into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

changelog: ready-test  ## Print the changes since the last release
	@$(BIN)/towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version unreleased) $(ARGS)

ready-demo: python
	@$(PYTHON) tools/workspace.py setup demo

ready-test: python
	@$(PYTHON) tools/workspace.py setup test

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "aisb needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)"; \
	  echo "name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
