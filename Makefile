# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. Each one makes the environments that it needs first.

# PYTHON: a Python 3.11 to 3.13 for the environments; without it, the one that is found.
# BLENDER: a Blender executable that renders in place of the module `bpy`.
SETUP_PYTHON := $(firstword $(shell command -v python3) $(PYTHON) python3)
SETUP := PYTHON="$(PYTHON)" BLENDER="$(BLENDER)" $(SETUP_PYTHON) tools/environments.py
TRAINING := .venv/bin/python
RENDERING := .venv-blender/bin/python
PATCHCORE := .venv/bin/sequential-patchcore
RENDER := BLENDER="$(BLENDER)" $(SETUP_PYTHON) tools/renderer.py
RENDER_ENVIRONMENT := $(if $(BLENDER),,.venv-blender/.done)
RECIPE ?= scenes/recipes/synth_ws.toml
ARGS ?=

.PHONY: help setup demo test test-matrix test-training test-rendering test-long test-lowest lint addon render train finetune meld calibrate evaluate predict reproduce bench bench-engine bench-anomalib bench-deployment bench-render campaign gallery clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       render, train, fine-tune, meld, evaluate: the whole way in minutes, to out/demo/report.html'
	@echo 'make test       the tests'
	@echo 'make test-matrix  the stain and the add-on in every Blender that can be had; writes docs/test_matrix.md'
	@echo 'make test-training, make test-rendering   one half of them; training needs no Blender'
	@echo 'make test-long  the tests that make test has no time for'
	@echo 'make test-lowest  the tests of the training package with the oldest libraries that it allows'
	@echo 'make setup      the two environments: .venv (training) and .venv-blender (rendering)'
	@echo 'make render     RECIPE=scenes/recipes/synth_ws.toml OUT=DIR [ARGS="--count 8 --scale 25"] [BLENDER=/path/to/blender]'
	@echo 'make train      DATA="DIR ..." OUT=M.h5 [ARGS="--backbone filters"]'
	@echo 'make finetune   MODEL=M.h5 DATA="DIR ..." OUT=M2.h5'
	@echo 'make meld       CORESETS="a.h5 b.h5" OUT=M.h5'
	@echo 'make calibrate  MODEL=M.h5 DATA=DIR'
	@echo 'make evaluate   MODEL="M.h5 ..." DATA=DIR OUT=DIR'
	@echo 'make predict    MODEL=M.h5 IMAGES="a.png folder" OUT=DIR [ARGS="--watch"]'
	@echo 'make reproduce  PRESET=small|medium [REAL=DIR] [OUT=DIR]: the tables of the paper, made anew; goes on where it stopped'
	@echo 'make addon      the Blender extension as a zip in build/'
	@echo 'make bench      speed and memory, as ratios; bench-engine: the coreset, to docs/benchmarks.md (ARGS=--full);'
	@echo '                bench-anomalib; bench-deployment: an anomaly map beside anomalib exported to OpenVINO; bench-render'
	@echo 'make campaign   damaged files against every command, to docs/campaign.md; goes on where it stopped [ARGS="--cases 50"]'
	@echo 'make gallery    pictures of the inspection scene, the features, the stain and the panel, in docs/gallery/'
	@echo 'make lint       check the style, and the types of the public interface'
	@echo 'make clean      remove what was built (not the environments, not out/)'
	@echo
	@echo 'ARGS="..." passes further options on; `.venv/bin/sequential-patchcore train --help` and'
	@echo '`.venv-blender/bin/python blender_addon/render.py --help` explain them. PYTHON= names a Python'
	@echo '(3.11 to 3.13), BLENDER= a Blender executable to render with.'

setup: .venv/.done .venv-blender/.done

# The environment script decides whether there is anything to do, by what an environment was made for and not by the
# age of files: it is asked each time.
.venv/.done: FORCE
	@$(SETUP) training .venv

.venv-blender/.done: FORCE
	@$(SETUP) rendering .venv-blender

.venv-lowest/.done: FORCE
	@$(SETUP) lowest .venv-lowest

# Other implementations, to be measured beside this one; nothing of the product imports them.
.venv-peers/.done: FORCE
	@$(SETUP) peers .venv-peers

.venv-matrix/%/.done: FORCE
	@$(SETUP) blender-$* .venv-matrix/$*

FORCE:

demo: .venv/.done $(RENDER_ENVIRONMENT)
	@BLENDER="$(BLENDER)" $(TRAINING) tools/demo.py

test: test-rendering test-training

test-rendering: .venv-blender/.done
	BLENDER="$(BLENDER)" $(RENDERING) -m pytest -m "not long" \
		tests/test_walls.py tests/test_architecture.py tests/core tests/blender tests/parity $(ARGS)

# Without a renderer the tests that need one are skipped and say so.
test-training: .venv/.done
	@$(SETUP) rendering .venv-blender || echo 'tests that render will be skipped'
	BLENDER="$(BLENDER)" $(TRAINING) -m pytest -m "not long" \
		tests/training tests/examples tests/tools tests/packaging tests/e2e $(ARGS)

# What `make test` has no time for: large networks, masks on foreign meshes pixel by pixel.
test-long: .venv/.done .venv-blender/.done
	$(TRAINING) -m pytest -m long tests/training $(ARGS)
	$(RENDERING) -m pytest -m long tests/core tests/blender $(ARGS)

# The oldest libraries that the metadata allow, on Python 3.11.
test-lowest: .venv-lowest/.done
	.venv-lowest/bin/python -m pytest -m "not long" tests/training $(ARGS)

# Every Blender that can be had: 4.2, 4.5, 5.0 and 5.2 as the bpy module, and a `blender` executable on the PATH.
test-matrix: .venv-blender/.done $(foreach version,4.2 5.0 5.2,.venv-matrix/$(version)/.done)
	$(RENDERING) tools/test_matrix.py $(ARGS)

lint: .venv/.done
	$(TRAINING) -m ruff check .
	$(TRAINING) -m mypy

addon: .venv-blender/.done
	$(RENDERING) tools/build_addon.py

render: $(RENDER_ENVIRONMENT)
	$(call need,OUT)
	$(RENDER) --recipe "$(RECIPE)" --out "$(OUT)" $(ARGS)

train: .venv/.done
	$(call need,DATA OUT)
	$(PATCHCORE) train $(foreach folder,$(DATA),--data $(folder)) --out $(OUT) $(ARGS)

finetune: .venv/.done
	$(call need,MODEL DATA OUT)
	$(PATCHCORE) finetune --model $(MODEL) $(foreach folder,$(DATA),--data $(folder)) --out $(OUT) $(ARGS)

meld: .venv/.done
	$(call need,CORESETS OUT)
	$(PATCHCORE) meld $(CORESETS) --out $(OUT) $(ARGS)

calibrate: .venv/.done
	$(call need,MODEL DATA)
	$(PATCHCORE) calibrate --model $(MODEL) --data $(DATA) $(ARGS)

evaluate: .venv/.done
	$(call need,MODEL DATA OUT)
	$(PATCHCORE) evaluate $(foreach model,$(MODEL),--model $(model)) --data $(DATA) --out $(OUT) $(ARGS)

predict: .venv/.done
	$(call need,MODEL IMAGES OUT)
	$(PATCHCORE) predict --model $(MODEL) $(IMAGES) --out $(OUT) $(ARGS)

# PRESET: small (an hour on two cores, no evidence), medium (some hours), full, or smoke. REAL: a data set in place of the rendered twin.
PRESET ?= small
reproduce: .venv/.done $(RENDER_ENVIRONMENT)
	@BLENDER="$(BLENDER)" $(TRAINING) tools/reproduce.py --preset "$(PRESET)" $(if $(REAL),--real "$(REAL)") \
		$(if $(OUT),--out "$(OUT)") $(ARGS)

bench-engine: .venv/.done .venv-peers/.done
	$(TRAINING) tests/bench/bench_engine.py $(ARGS)

bench-anomalib: .venv/.done .venv-peers/.done
	$(TRAINING) tests/bench/bench_anomalib.py $(ARGS)

bench-deployment: .venv/.done .venv-peers/.done
	$(TRAINING) tests/bench/bench_deployment.py $(ARGS)

bench: bench-engine bench-anomalib bench-deployment
	$(TRAINING) tests/bench/bench_memory.py
	$(TRAINING) tests/bench/bench_features.py
	$(TRAINING) tests/bench/bench_runtimes.py
	$(TRAINING) tests/bench/bench_verdicts.py
	$(TRAINING) tests/bench/bench_threshold.py --pixels 20000000
	$(TRAINING) tests/bench/bench_report.py --images 6 --models 1 --page-only
ifneq ($(wildcard .venv-blender/.done),)
	$(RENDERING) tests/bench/bench_render.py
	$(RENDERING) tests/bench/bench_stain.py
endif

bench-render: .venv-blender/.done
	$(RENDERING) tests/bench/bench_render.py $(ARGS)
	$(RENDERING) tests/bench/bench_paths.py
	$(RENDERING) tests/bench/bench_stain.py

campaign: .venv/.done
	nice -n 5 $(TRAINING) tests/run_campaign.py $(ARGS)

gallery: .venv-blender/.done
	$(RENDERING) tools/gallery/scene.py $(ARGS)
	$(RENDERING) tools/gallery/features.py
	$(RENDERING) tools/gallery/stain.py
	$(RENDERING) tools/gallery/readme.py
	$(RENDERING) tools/gallery/parts.py
	$(RENDERING) tools/gallery/panel.py

clean:
	rm -rf build dist training/*.egg-info .pytest_cache .ruff_cache
	find blender_addon training tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call need,NAMES): stop with one line when a variable is missing.
need = $(foreach name,$(1),$(if $($(name)),,$(error make $@ needs $(name)=...; `make help` shows how)))
