# SPDX-License-Identifier: Apache-2.0
"""The public way to an extractor: what it takes, what it refuses, what it leaves alone."""

import inspect
import logging
from dataclasses import fields

import pytest
import torch
from sequential_patchcore import UserError, build_extractor
from sequential_patchcore.extractors.base import ExtractorSettings, identity
from sequential_patchcore.extractors.builder import extractor_of


def test_its_keywords_are_the_settings_with_their_defaults():
    taken = {name: parameter.default for name, parameter in inspect.signature(build_extractor).parameters.items()}
    assert (taken.pop("weights"), taken.pop("engine")) == ("hub", "auto")
    assert taken == {field.name: field.default for field in fields(ExtractorSettings)}


@pytest.mark.parametrize("given", [{"pool": 3}, {"image_scale": 0.5}, {"projection": 7}, {}])
def test_it_is_the_extractor_of_the_settings(given):
    public, internal = build_extractor("filters", **given), extractor_of(ExtractorSettings("filters", **given))
    assert identity(public) == identity(internal)
    images = torch.rand(2, 3, 33, 41, generator=torch.Generator().manual_seed(1))
    patches = public(images)
    rows, columns = (-(-length // public.stride) for length in (33, 41))
    assert patches.shape == (2, rows, columns, public.dimension) and patches.dtype == torch.float32
    assert torch.equal(patches, internal(images))


def test_layers_come_as_a_list_and_weights_as_a_path(tmp_path):
    network = "mobilenetv3_small_050"
    finest = build_extractor(network, weights="none").layers[:1]
    named = build_extractor(network, weights="none", layers=finest)
    assert named.layers == finest and named.weights == "random"
    with pytest.raises(UserError, match=r"`layers` 'blocks': expected a list"):
        build_extractor(network, weights="none", layers="blocks")
    with pytest.raises(UserError, match=r"no weights file at .*absent\.pth"):
        build_extractor(network, weights=tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pool": 0}, "`pool` 0: expected 1 to 1000"),
        ({"image_scale": 0.0}, "`image_scale` 0.0: expected 0.001 to 100"),
        ({"image_scale": float("nan")}, "`image_scale` nan"), ({"projection": -1}, "`projection` -1"),
        ({"normalisation": "z"}, "`normalisation` z: expected one of weights, imagenet"),
        ({"precision": "int8"}, "`precision` int8: expected one of float32"),
        ({"precision": "bfloat16"}, "`precision` is for networks; leave it out with `backbone` filters"),
        ({"weights": "w.pth"}, "`weights` w.pth was given"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given, words):
    with pytest.raises(UserError) as caught:
        build_extractor("filters", **given)
    assert words in str(caught.value)


def test_timms_logger_is_left_as_it_was(caplog):
    logger = logging.getLogger("timm")
    before = logger.level
    try:
        logger.setLevel(logging.INFO)
        build_extractor("mobilenetv3_small_050", weights="none")
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)
