# `make demo` and `make test` are all that a fresh machine needs: each sets up .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
# The curve's Rust part is optional: where cargo is missing, libsodium serves. `cargo` in the stamp's name
# makes the setup run again once cargo has been installed.
STAMP := .venv/.stamp$(if $(shell command -v cargo),-cargo)
# ethers, viem and solc, which the end-to-end tests drive: installed where npm is, skipped elsewhere.
CLIENTS := tests/e2e/clients
CLIENTS_STAMP := $(if $(shell command -v npm),$(CLIENTS)/node_modules/.stamp)

# atheris, the coverage-guided fuzzer, which `make fuzz` alone needs.
FUZZ_STAMP := .venv/.stamp-fuzz

.PHONY: setup demo test check fuzz bench clean

setup: $(STAMP) $(CLIENTS_STAMP)

$(STAMP): pyproject.toml $(wildcard crypto/native/Cargo.* crypto/native/src/*.rs)
	@command -v $(PYTHON) >/dev/null || { echo "hearth needs Python 3.11: set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[testnet,contracts,dev]'
	@touch $(STAMP)

$(CLIENTS)/node_modules/.stamp: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@npm ci --prefix $(CLIENTS) --loglevel=error --no-audit --no-fund >/dev/null
	@touch $@

demo: $(STAMP)
	$(BIN)/hearth testnet demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m "not slow and not e2e"

# The end-to-end tests mostly wait, so they run beside the others; their words come after.
test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@log=$$(mktemp); $(BIN)/pytest -q -p no:cacheprovider -m e2e >$$log 2>&1 & e2e=$$!; \
	$(BIN)/pytest -q -m "not e2e"; rest=$$?; \
	echo "waiting for the end-to-end tests"; wait $$e2e; ended=$$?; cat $$log; rm -f $$log; \
	exit $$((rest || ended))

fuzz: $(STAMP)
	$(BIN)/hearth fuzz --seeds 20000
	$(BIN)/hearth fuzz --mutants
	@$(MAKE) --no-print-directory $(FUZZ_STAMP)
	$(BIN)/hearth fuzz --decoders

$(FUZZ_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

bench: $(STAMP)
	$(BIN)/hearth bench consensus --json
	$(BIN)/hearth bench sim --json

clean:
	rm -rf .venv $(CLIENTS)/node_modules build out .hearth *.egg-info crypto/native/target crypto/_curve*.so
