# Two commands do everything on a fresh machine: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.made

.PHONY: setup demo test check bench bench-check zoo fuzz fuzz-load faults fuzz-protocol clean
setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[qkeras,faces,dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/faces/demo.py --output build/demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mcugen build examples/faces/hybrid.h5 -o build/check-gcc --toolchain gcc > /dev/null
	$(BIN)/mcugen build examples/faces/hybrid.h5 -o build/check-zig --toolchain zig > /dev/null

bench: $(STAMP)
	$(BIN)/python benchmarks/bench.py --write

bench-check: $(STAMP)
	$(BIN)/python benchmarks/bench.py --check 2> /dev/null

zoo: $(STAMP)
	$(BIN)/python examples/zoo/zoo.py --networks '$(NETWORKS)' --write

N ?= 150
SEED ?= 0
JOBS ?= 1
fuzz: $(STAMP)
	$(BIN)/python tests/fuzz.py --count $(N) --seed $(SEED) --simulator $$(( $(N) / 10 )) --jobs $(JOBS)

fuzz-load: N = 20000
fuzz-load: $(STAMP)
	$(BIN)/python tests/unit/fuzz_load.py $(N) $(SEED)

faults: $(STAMP)
	$(BIN)/python tests/sim/faults.py --exchanges $(EXCHANGES) --seed $(SEED)

EXCHANGES ?= 10000
fuzz-protocol: N = 10000000
fuzz-protocol: $(STAMP)
	$(BIN)/python tests/sim/fuzz_protocol.py --runs $(N)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
