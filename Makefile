# Everything a fresh machine needs: Python 3.11+, make, git. `make demo` and `make test` set themselves up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
# Empty, or what runs pytest in its place: `make coverage` measures the same run.
RUNNER ?=

.PHONY: setup test-setup build-lambda docs demo test explore lint types imports wheel coverage check bench bench-peers clean

# uv (pinned) installs exactly what uv.lock says; the stamp makes a second call free.
$(VENV)/.installed: pyproject.toml uv.lock
	$(PYTHON) -c 'import sys; sys.exit("kbsync needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) sync --active --frozen --all-extras --quiet
	touch $@

# The AWS stand-in pins another botocore, so it has an environment of its own, beside the first.
$(VENV)-standins/.installed: tests/standins/requirements.txt $(VENV)/.installed
	test -x $(VENV)-standins/bin/python || $(PYTHON) -m venv $(VENV)-standins
	VIRTUAL_ENV=$(abspath $(VENV))-standins $(UV) pip sync --quiet --require-hashes $<
	touch $@

setup: $(VENV)/.installed

# The site's generator comes on top; a new set-up takes it away again.
$(VENV)/.docs-installed: $(VENV)/.installed
	VIRTUAL_ENV=$(abspath $(VENV)) $(UV) sync --active --frozen --all-extras --group docs --quiet
	touch $@

# The functions' package for this machine: tests of the deployed stack run it.
$(VENV)-bundle/.built: uv.lock $(wildcard deploy/*) $(VENV)/.installed
	UV=$(UV) PYTHON=$(BIN)/python deploy/build.sh $(VENV)-bundle host
	touch $@

test-setup: $(VENV)-standins/.installed $(VENV)-bundle/.built $(VENV)/.docs-installed

# The release: arm64 and Python 3.13, whatever this machine is.
build-lambda: setup
	UV=$(UV) PYTHON=$(BIN)/python deploy/build.sh dist/lambda

# The site, in dist/site: open index.html, or serve the folder. The reference is written anew from the code.
docs: $(VENV)/.docs-installed
	$(BIN)/python tests/docs/reference_pages.py
	$(BIN)/python scripts/build_site.py dist/site

demo: setup
	$(BIN)/kbsync demo

test: test-setup
	KBSYNC_WHOLE_SUITE=1 $(BIN)/python -m $(RUNNER) pytest -n auto --dist loadgroup

# All schedules of the fault explorer; `make test` plays a part of them.
explore: test-setup
	KBSYNC_EXPLORE_EVERY=1 $(BIN)/python -m pytest -n auto tests/explorer/test_explorer.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

wheel: setup
	scripts/check_wheel.sh $(abspath $(UV))

coverage: setup
	$(BIN)/python -m coverage erase
	$(MAKE) test RUNNER="coverage run -m"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python scripts/check_coverage.py

check: lint types imports wheel coverage

# Ratios and counts on a server of canned answers; `make bench SIZES=100000` for more (docs/PERFORMANCE.md).
SIZES  ?= 1000 10000
bench: setup
	$(BIN)/python -m benchmarks $(SIZES)

# Beside dlt, LangChain, LlamaIndex and CocoIndex, each pinned in an environment of its own, on a file of closed incidents.
DOCUMENTS ?= ../shared/data/retrieval/documents.jsonl
bench-peers: setup
	$(BIN)/python -m benchmarks.peers $(DOCUMENTS)

clean:
	rm -rf $(VENV) $(VENV)-standins $(VENV)-bundle .venv-peers .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache dist
