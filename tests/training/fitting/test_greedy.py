# SPDX-License-Identifier: Apache-2.0
"""The baseline against the algorithm written out, and its own guarantee."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.coreset import engine
from sequential_patchcore.coreset.engine import Coreset, CoresetEngine
from sequential_patchcore.coreset.greedy import bytes_needed, greedy_coreset
from sequential_patchcore.extractors.base import to_tensor
from sequential_patchcore.fitting.settings import TrainSettings
from sequential_patchcore.fitting.training import train
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError
from sequential_patchcore.runtime.memory import Needs, plan
from sequential_patchcore.scoring.restore import restore_extractor


def slow_greedy(patches: np.ndarray, size: int) -> list[int]:
    rows = [0]
    while len(rows) < size:
        away = np.sqrt(((patches[:, None].astype(float) - patches[None, rows]) ** 2).sum(2)).min(1)
        rows.append(int(away.argmax()))
    return rows


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_rows_are_those_of_farthest_first_traversal(offset):
    patches = (np.random.default_rng(0).normal(size=(300, 11)) + offset).astype(np.float32)
    before = patches.copy()
    calls = []
    rows = greedy_coreset(torch.from_numpy(patches), 25, lambda: calls.append(1))
    assert rows.tolist() == slow_greedy(patches, 25)
    assert len(calls) == 25 and np.array_equal(before, patches)


def test_of_equal_patches_none_is_taken_twice():
    rows = greedy_coreset(torch.ones(40, 3), 12)
    assert len(set(rows.tolist())) == 12


def test_the_command_makes_a_model_of_the_images_patches(plates, tmp_path):
    data = plates(tmp_path / "plates", train=3, val=0, test=0)
    out = tmp_path / "greedy.h5"
    common = ["train", "--data", str(data.path), "--backbone", "filters", "--coreset-size", "20", "--threads", "1"]
    assert cli.main([*common, "--out", str(out), "--coreset", "greedy"]) == 0
    model = load_model(out)
    assert model.converged and model.covering_radius <= model.separation
    assert model.settings["coreset"] == "greedy" and len(model.epochs) == 1
    assert cli.main(["info", str(out), "--check"]) == 0
    other = tmp_path / "sequential.h5"
    assert cli.main([*common, "--out", str(other), "--epochs", "50"]) == 0
    sequential = load_model(other)
    # Each is within twice the best radius, so neither can be worse than twice the other.
    assert sequential.converged and 0.5 <= sequential.covering_radius / model.covering_radius <= 2


def test_the_covering_radius_is_of_the_images_as_they_are(plates, tmp_path, capsys):
    data = plates(tmp_path / "renders", train=3, val=0, test=0, rendered=True)
    found = []
    for coreset, options in (("greedy", ()), ("sequential", ("--epochs", "50"))):
        out = tmp_path / f"{coreset}.h5"
        command = ("train", "--data", str(data.path), "--backbone", "filters", "--coreset-size", "20",
                   "--out", str(out), "--coreset", coreset, *options)
        assert cli.main(command) == 0
        model = load_model(out)
        extractor = restore_extractor(model, "it")
        images = (to_tensor(data.image(sample), 1.0, torch.device("cpu")) for sample in data.split("train"))
        patches = torch.cat([extractor(image)[0].reshape(-1, model.features.shape[1]) for image in images]).double()
        vectors = torch.from_numpy(model.features).double()
        nearest = torch.cdist(patches, vectors, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        assert model.covering_radius == pytest.approx(float(nearest.max()), rel=1e-9)
        # The borders were cut away: the factor is for these patches and the vectors together, and holds for them.
        capsys.readouterr()
        assert cli.main(["info", str(out), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["certified_over"] == "the patches of the training images and the coreset's own vectors"
        together = torch.cat([patches, vectors]).float()
        best = CoresetEngine(20, vectors.shape[1], initial=Coreset(
            together[greedy_coreset(together, 20)].numpy(), np.arange(20)))
        assert model.covering_radius <= facts["certified_factor"] * best.farthest(together) * (1 + 1e-9)
        found.append(model.covering_radius)
    assert found[0] != found[1]


def test_the_estimate_grows_with_the_patches():
    assert bytes_needed(1_000_000, 152) >= 1_000_000 * 152 * 4
    assert bytes_needed(2_000_000, 152) == 2 * bytes_needed(1_000_000, 152)


def test_what_cannot_hold_all_patches_is_refused_with_both_figures():
    coreset, held = partial(engine.bytes_needed, 2048, 152), bytes_needed(10_000_000, 152)
    needs = Needs(2 * 10**8, 8 * 10**8, coreset, all_patches=held, patches=10_000_000)
    told = r"all 10000000 patches, 5\.\d\d GiB.* sequential coreset needs 1\.\d\d GiB"
    with pytest.raises(UserError, match=told):
        plan(needs, 4 * 2**30)


def test_the_public_call_makes_the_same_model_as_the_command(plates, tmp_path):
    data = plates(tmp_path / "plates", train=2, val=0, test=0)
    out = tmp_path / "greedy.h5"
    assert cli.main(["train", "--data", str(data.path), "--backbone", "filters", "--coreset-size", "20",
                     "--out", str(out), "--coreset", "greedy", "--device", "cpu"]) == 0
    extractor = restore_extractor(load_model(out), "it")
    settings = TrainSettings(coreset_size=20, coreset="greedy")
    model = train([data], extractor, settings)
    assert model.fingerprint == load_model(out).fingerprint
    with pytest.raises(UserError, match="leave out `initial`"):
        train([data], extractor, settings, initial=model)
    with pytest.raises(UserError, match="only 1536 patches for `coreset_size` 1600"):
        train([data], extractor, TrainSettings(coreset_size=1600, coreset="greedy"))
