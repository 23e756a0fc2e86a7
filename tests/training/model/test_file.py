# SPDX-License-Identifier: Apache-2.0
"""The model file: bit for bit there and back; whatever else is put in its place is refused in one line."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from sequential_patchcore.cli import parser as cli
from sequential_patchcore.model.file import Memory, Model, Threshold, check_model, load_model, read_request, save_model
from sequential_patchcore.model.writing import group_name
from sequential_patchcore.runtime import files
from sequential_patchcore.runtime.choices import BOUNDS
from sequential_patchcore.runtime.errors import UserError

K, D = 7, 5
DOCUMENT = Path(__file__).parents[3] / "docs" / "model_file.md"


def separation(vectors: np.ndarray) -> float:
    distances = np.linalg.norm(vectors[:, None].astype(float) - vectors[None], axis=2)
    return float(distances[np.triu_indices(len(vectors), 1)].min())


def model(**changes) -> Model:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(K, D)).astype(np.float32)
    whole = Model(
        features=features, source=rng.integers(0, 3, K, np.uint32),
        position=rng.integers(0, 65535, (K, 2), np.uint16, endpoint=True),
        sources=(("plates", "a"), ("plates", "Ölfleck 2"), ("other", "a")),
        extractor={
            "backbone": "filters", "image_scale": 0.5, "pool": 2, "unit_maps": False, "dimension": D, "stride": 4,
            "layers": ["x", "y"], "preprocessing": {"black": 0.0039}, "weights_fingerprint": "f00d", "weights": "-",
        },
        settings={"coreset_size": K, "shard": [1, 1], "blur_sigma": 2.0}, separation=separation(features),
        covering_radius=1 / 3, converged=True, epochs=({"replacements": 0, "separation": 0.1},),
        parents=("0123456789abcdef",), data=({"name": "plates", "path": "/d", "fingerprint": "ff", "images": 2},),
        request="r",
    )
    return replace(whole, **changes)


CALIBRATED = Threshold(0.1, "max_f1", {"dataset": "plates", "fingerprint": "ff", "split": "val", "f1": 2 / 3})


@pytest.fixture
def path(tmp_path):
    save_model(model(), tmp_path / "m.h5")
    return tmp_path / "m.h5"


def same(one: Model, other: Model) -> bool:
    arrays = ("features", "source", "position")
    return all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays
    ) and replace(one, **dict.fromkeys(arrays)) == replace(other, **dict.fromkeys(arrays))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"threshold": CALIBRATED}, {"threshold": Threshold(np.nextafter(0.3, 1), "by_hand")},
        {"covering_radius": None}, {"converged": False, "epochs": (), "parents": (), "data": ()},
        {"request": "", "created_by": "somebody"},
    ],
)
def test_a_model_comes_back_bit_for_bit(tmp_path, changes):
    save_model(model(**changes), tmp_path / "m.h5")
    assert same(load_model(tmp_path / "m.h5"), model(**changes))
    assert check_model(tmp_path / "m.h5") == []


def test_denormals_and_signed_zeros_survive(tmp_path):
    features = np.array([[-0.0, 1e-45], [0.0, 9.9e14], [1.1754942e-38, 1]], np.float32)
    odd = model(features=features, source=np.zeros(3, np.uint32), position=np.zeros((3, 2), np.uint16),
                extractor=model().extractor | {"dimension": 2}, separation=separation(features))
    save_model(odd, tmp_path / "m.h5")
    assert load_model(tmp_path / "m.h5").features.tobytes() == features.tobytes()


def test_the_file_is_what_the_contract_says(path):
    with h5py.File(path) as file:
        assert file["coreset/features"].dtype == np.float32 and file["coreset/features"].shape == (K, D)
        assert file["coreset/source"].dtype == np.uint32 and file["coreset/position"].dtype == np.uint16
        assert file["sources/sample"].asstr()[1] == "Ölfleck 2"
        assert file.attrs["format_version"] == 1 and file.attrs["threshold"] == "none"
        assert json.loads(file.attrs["layers"]) == ["x", "y"]
        assert file.attrs["fingerprint"] == model().fingerprint


def test_the_page_names_every_part_and_its_reader_runs(path, monkeypatch, capsys):
    text = DOCUMENT.read_text(encoding="utf-8")
    with h5py.File(path) as file:
        parts: list[str] = []
        file.visititems(lambda name, item: parts.append(f"/{name}") if isinstance(item, h5py.Dataset) else None)
        assert [name for name in [*parts, *file.attrs] if f"`{name}`" not in text] == []
    path.rename(path.with_name("model.h5"))
    monkeypatch.chdir(path.parent)
    exec(text.split("```python")[1].split("```")[0], {})
    assert "filters (7, 5) none" in capsys.readouterr().out


def test_the_fingerprint_is_of_vectors_and_extractor_only():
    assert model().with_threshold(CALIBRATED).fingerprint == model(request="x", sources=()).fingerprint
    changed = model().features.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(9))
    extractor = model().extractor | {"pool": 3}
    assert len({model().fingerprint, model(features=changed).fingerprint, model(extractor=extractor).fingerprint}) == 3


def refused(path, *words: str) -> str:
    """The path is refused with one line that names it and has the words; the checker says the same."""
    with pytest.raises(UserError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 400
    for word in words:
        assert word in message
    assert [f"{path}: {problem}" for problem in check_model(path)] == [message]
    read_request(path)  # never raises
    return message


class Opened:
    """`with Opened(path) as file`: an h5py file to change; `set` replaces a data set."""

    def __init__(self, path):
        self.file = h5py.File(path, "a")

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.file.close()

    def set(self, name, value=None, **options):
        del self.file[name]
        self.file.create_dataset(name, data=value, **options)


def test_what_is_no_model_at_all(tmp_path):
    refused(tmp_path / "absent.h5", "no such model file")
    refused(tmp_path, "no such model file")
    for name, content in {
        "text": b"hello\n" * 100, "empty": b"", "pickle": pickle.dumps({"features": np.zeros(3)}),
        "signature only": b"\x89HDF\r\n\x1a\n", "zip": b"PK\x03\x04" + bytes(200),
    }.items():
        (tmp_path / f"{name}.h5").write_bytes(content)
        refused(tmp_path / f"{name}.h5", "not a readable HDF5 file")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["weights"] = np.zeros(4)
    refused(tmp_path / "foreign.h5", "not a model of sequential-patchcore")
    assert read_request(tmp_path / "foreign.h5") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": 0}, ("pool 0", "1 to 1000")), ({"pool": 10**9}, ("pool",)), ({"image_scale": float("nan")}, ("nan",)),
        ({"image_scale": 1e9}, ("image_scale",)), ({"image_scale": -1}, ("image_scale",)), ({"stride": 0}, ("stride",)),
        ({"offset": "x"}, ("offset",)), ({"offset": None}, ("offset",)), ({"layers": [None]}, ("layers",)),
        ({"precision": "int8"}, ("precision", "bfloat16")), ({"normalisation": "x"}, ("normalisation",)),
    ],
)
def test_an_extractor_that_cannot_be(path, changes, words):
    with Opened(path) as opened:
        opened.file.attrs["extractor"] = json.dumps(model().extractor | changes)
    refused(path, "damaged: extractor", *words)


@pytest.mark.parametrize("name", list(BOUNDS))
def test_what_the_command_line_takes_a_file_may_hold_and_nothing_beyond(path, name, capsys):
    where, option = "settings" if name == "blur_sigma" else "extractor", f"--{name.replace('_', '-')}"
    for value, fits in zip((*BOUNDS[name], BOUNDS[name][1] * 2), (True, True, False), strict=True):
        with Opened(path) as opened:
            opened.file.attrs[where] = json.dumps(getattr(model(), where) | {name: value})
        command = ["train", "--data", str(path.parent / "absent"), "--out", "m.h5", option, str(value)]
        if fits:
            assert cli.main(command) == 2
        else:
            with pytest.raises(SystemExit, match="2"):
                cli.main(command)
        said = capsys.readouterr().err
        if fits:
            load_model(path)
            assert "expected" not in said and "absent" in said
        else:
            refused(path, name)
            assert option in said and "expected" in said


@pytest.mark.parametrize("changes", [{"blur_sigma": "x"}, {"blur_sigma": None}, {"blur_sigma": 1e9}, {"weights": 5}])
def test_settings_that_cannot_be(path, changes):
    with Opened(path) as opened:
        opened.file.attrs["settings"] = json.dumps(model().settings | changes)
    refused(path, "damaged: settings", next(iter(changes)))


def test_radii_that_cannot_be_and_vectors_beyond_what_a_coreset_takes(path):
    for name, value in (("separation", -1.0), ("covering_radius", -5.0), ("covering_radius", np.inf)):
        with Opened(path) as opened:
            kept = opened.file.attrs[name]
            opened.file.attrs[name] = value
        refused(path, f"{name.replace('_', ' ')} {value}")
        with Opened(path) as opened:
            opened.file.attrs[name] = kept
    with Opened(path) as opened:
        opened.file["coreset/features"][0, 0] = 1e20
    refused(path, "beyond 1e+15")
    save_model(model(epochs=({"replacements": 1, "separation": -1.0},)), path)
    refused(path, "of an epoch is negative")


@pytest.mark.parametrize("name", ["fingerprint", "threshold_method", "calibrated_on", "backbone", "layers"])
def test_an_attribute_that_is_missing(path, name):
    with Opened(path) as opened:
        del opened.file.attrs[name]
    refused(path, "a part is missing", name)


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/coreset"), h5py.SoftLink("/elsewhere")])
@pytest.mark.parametrize("name", ["coreset", "coreset/features", "sources/sample"])
def test_links_are_not_followed(path, link, name):
    save_model(model(), path.with_name("other.h5"))
    if isinstance(link, h5py.ExternalLink):
        link = h5py.ExternalLink("other.h5", f"/{name}")
    with Opened(path) as opened:
        opened.file.move(name, "elsewhere")
        opened.file[name] = link
    refused(path, "is a link, and links are not followed")


def test_a_text_with_a_nul_could_not_be_written_again(path):
    with Opened(path) as opened:
        texts = np.array([b"a\0b"] * len(opened.file["sources/sample"]), "S3")
        opened.set("sources/sample", texts)
    refused(path, "a text with a NUL")


def test_another_byte_order_is_named(path):
    with Opened(path) as opened:
        opened.set("coreset/features", model().features.astype(">f4"))
    refused(path, "should be float32, <f4", "is >f4")


def test_a_file_cut_short_anywhere(path):
    whole = path.read_bytes()
    for length in [*np.linspace(1, len(whole) - 1, 60).astype(int), len(whole) - 1, 8, 96, 2048]:
        path.write_bytes(whole[:length])
        refused(path)


def test_bytes_overwritten_among_the_vectors_are_found_by_the_checker(path):
    """The rest of a damaged file is HDF5's to read; its library is known to crash on some wrong bytes."""
    whole = path.read_bytes()
    first = whole.index(model().features.tobytes())
    rng = np.random.default_rng(4)
    for place in rng.integers(first, first + K * D * 4, 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        problems = check_model(path)
        assert any("fingerprint" in problem or "not finite" in problem for problem in problems)


@pytest.mark.parametrize(
    "part", ["coreset", "coreset/features", "coreset/source", "coreset/position", "sources", "sources/sample"]
)
def test_a_part_is_missing(path, part):
    with Opened(path) as opened:
        del opened.file[part]
    refused(path, "missing")


@pytest.mark.parametrize(
    "name",
    ["format_version", "settings", "extractor", "separation", "covering_radius", "converged", "epochs", "parents",
     "data", "request", "threshold", "created_by"],
)
def test_an_attribute_is_missing_or_of_another_kind(path, name):
    for value in ("][", np.arange(3.0), h5py.Empty("f4"), None):
        save_model(model(), path)
        with Opened(path) as opened:
            del opened.file.attrs[name]
            if value is not None:
                opened.file.attrs[name] = value
        if name not in ("request", "created_by", "converged") or value is None:  # of these any text, any truth does
            refused(path)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("coreset/features", np.zeros((K, D)), "should be float32"),
        ("coreset/features", np.zeros((K, D), ">f4"), "should be float32"),
        ("coreset/features", np.zeros(K, np.float32), "with 2 dimension"),
        ("coreset/features", np.zeros((0, D), np.float32), "damaged"),
        ("coreset/features", np.zeros((K, D + 1), np.float32), "the extractor gives 5"),
        ("coreset/features", np.full((K, D), np.nan, np.float32), "not finite"),
        ("coreset/features", np.full((K, D), np.inf, np.float32), "not finite"),
        ("coreset/source", np.zeros(K, np.int64), "should be uint32"),
        ("coreset/source", np.zeros(K + 1, np.uint32), "8 rows for 7 vectors"),
        ("coreset/source", np.full(K, 3, np.uint32), "points outside /sources"),
        ("coreset/position", np.zeros((K, 3), np.uint16), "shape (7, 3)"),
        ("coreset/position", np.zeros((K - 1, 2), np.uint16), "6 rows"),
        ("sources/sample", np.zeros(3), "list of texts"),
        ("sources/sample", ["a", "b"], "outside /sources"),
        ("sources/sample", [["a"], ["b"], ["c"]], "list of texts"),
        ("sources/dataset", [b"\xff\xfe"] * 3, "damaged"),
    ],
)
def test_arrays_of_another_form(path, part, value, words):
    with Opened(path) as opened:
        opened.set(part, value)
    refused(path, words)


def test_a_group_where_an_array_belongs(path):
    with Opened(path) as opened:
        for part in ("coreset/features", "sources/sample"):
            del opened.file[part]
            opened.file.create_group(part)
    refused(path, "coreset/features should be")


@pytest.mark.parametrize(
    ("part", "shape", "dtype"),
    [
        ("coreset/features", (10_000_000, 100_000), np.float32),
        ("coreset/features", (1 << 40, 1 << 20), np.float32),
        ("coreset/source", (1 << 50,), np.uint32),
        ("sources/sample", (1 << 40,), h5py.string_dtype()),
        ("sources/dataset", (1 << 40,), "S1000"),
    ],
)
def test_a_huge_declared_size_without_data_is_refused_before_reading(path, part, shape, dtype):
    with Opened(path) as opened:
        opened.set(part, shape=shape, dtype=dtype, chunks=(1024,) * len(shape))
    refused(path)
    assert path.stat().st_size < 100_000


def test_data_of_another_file_are_not_followed(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(K * D * 4))
    with Opened(path) as opened:
        opened.set("coreset/features", shape=(K, D), dtype=np.float32, external=str(tmp_path / "secret"))
    refused(path, "declares the shape")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"format_version": 2}, "format version 2, this program reads 1"),
        ({"format": "other"}, "not a model"),
        ({"format": np.arange(3)}, "damaged"),
        ({"extractor": "{"}, "damaged"),
        ({"extractor": "[]"}, "should hold a JSON dict"),
        ({"extractor": '{"dimension": 5}'}, "lacks a sound 'backbone'"),
        ({"settings": "[" * 100_000}, "damaged"),
        ({"data": "[3]"}, "where an object belongs"),
        ({"data": '[{"name": "x"}]'}, "lacks a sound 'path'"),
        ({"epochs": '[{"replacements": "many"}]'}, "'replacements'"),
        ({"parents": "[1]"}, "parents"),
        ({"separation": np.nan}, "separation nan"),
        ({"covering_radius": np.inf}, "covering radius inf"),
        ({"threshold": np.nan}, "threshold is not finite"),
        ({"threshold": "high"}, "damaged"),
        ({"threshold": 0.5, "calibrated_on": '{"split": "val"}'}, "lacks a sound 'dataset'"),
    ],
)
def test_attributes_that_make_no_sense(path, attributes, words):
    with Opened(path) as opened:
        opened.file.attrs.update(attributes)
    refused(path, words)


def test_the_checker_computes_separation_and_fingerprint_anew(path):
    save_model(model(separation=model().separation * (1 + 1e-6)), path)
    load_model(path)
    (problem,) = check_model(path)
    assert "separation is recorded as" in problem
    save_model(model(), path)
    with h5py.File(path, "a") as file:
        file["coreset/features"][2, 2] = np.nextafter(file["coreset/features"][2, 2], np.float32(99))
    assert any("fingerprint is recorded as" in problem for problem in check_model(path))


def test_an_interrupted_save_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full_disk(*_arguments):
        raise OSError(28, "No space left on device")

    for error, expected in ((full_disk, UserError), (lambda *_: (_ for _ in ()).throw(KeyboardInterrupt), None)):
        with monkeypatch.context() as patch, pytest.raises(expected or KeyboardInterrupt):
            patch.setattr(files.os, "replace", error)
            save_model(model(separation=9.0), path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["m.h5"]
    with pytest.raises(UserError, match="cannot"):
        save_model(model(), path / "below.h5")


def memory(**changes) -> Memory:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(4, D)).astype(np.float32)
    whole = Memory(
        kind="impurity", vectors=vectors, source=rng.integers(0, 2, 4, np.uint32),
        position=rng.integers(0, 99, (4, 2), np.uint16), sources=(("soiled", "a"), ("soiled", "Fleck 2")),
        separation=separation(vectors), covering_radius=0.25, converged=True,
        epochs=({"replacements": 3, "separation": 0.1, "covering_radius": 0.2},), seen=40, images=2,
        coverage_share=0.5, level=1 / 3, level_from="threshold", nominal="f00d",
        data=({"name": "soiled", "path": "/s", "fingerprint": "aa", "images": 2},), settings={"memory_size": 4},
    )
    return replace(whole, **changes)


NAMES = ["water_stain", "a/b", "%2F", ".", "..", "Ölfleck 2", "smear.dark", " "]


@pytest.fixture
def remembering(tmp_path):
    save_model(model(memories={"smear": memory(), "a/b": memory(kind="defect")}), tmp_path / "m.h5")
    return tmp_path / "m.h5"


def test_memories_come_back_bit_for_bit_whatever_their_class_is_called(tmp_path):
    for name in NAMES:
        save_model(model(memories={name: memory(covering_radius=None), "z": memory(kind="defect")}), tmp_path / "m.h5")
        loaded = load_model(tmp_path / "m.h5")
        assert list(loaded.memories) == sorted([name, "z"])
        arrays = ("vectors", "source", "position")
        for found, given in ((loaded.memories[name], memory(covering_radius=None)),
                             (loaded.memories["z"], memory(kind="defect"))):
            assert replace(found, **dict.fromkeys(arrays)) == replace(given, **dict.fromkeys(arrays))
            for array in arrays:
                assert getattr(found, array).dtype == getattr(given, array).dtype
                assert getattr(found, array).tobytes() == getattr(given, array).tobytes()
        assert check_model(tmp_path / "m.h5") == []
        assert same(replace(loaded, memories={}), model())
    assert len({group_name(name) for name in NAMES}) == len(NAMES)


def test_a_model_without_memories_is_written_as_before(path):
    with h5py.File(path) as file:
        parts: list[str] = []
        file.visit(parts.append)
        assert sorted(parts) == ["coreset", "coreset/features", "coreset/position", "coreset/source", "sources",
                                 "sources/dataset", "sources/sample"]
    assert load_model(path).memories == {}


def test_memories_are_of_the_same_form_as_the_coreset_and_the_page_names_their_parts(remembering):
    text = DOCUMENT.read_text(encoding="utf-8")
    with h5py.File(remembering) as file:
        group = file["memories/smear"]
        for name in ("features", "source", "position"):
            assert group[name].dtype == file[f"coreset/{name}"].dtype
            assert f"`/memories/CLASS/{name}`" in text
        assert sorted(group["sources"]) == sorted(file["sources"])
        assert "a%2Fb" in file["memories"]
        assert [name for name in group.attrs if f"`{name}`" not in text] == []


def test_the_fingerprint_is_of_the_memories_too():
    plain, soiled = model(), model(memories={"smear": memory()})
    assert plain.fingerprint == plain.nominal_fingerprint == soiled.nominal_fingerprint
    changed = memory().vectors.copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    others = [{"smear": memory(vectors=changed)}, {"stain": memory()}, {"smear": memory(kind="defect")},
              {"smear": memory(), "stain": memory()}]
    assert len({model(memories=held).fingerprint for held in others} | {plain.fingerprint, soiled.fingerprint}) == 6
    assert soiled.with_threshold(CALIBRATED).fingerprint == soiled.fingerprint
    assert model(memories={"smear": memory(level=9.0)}).fingerprint == soiled.fingerprint


@pytest.mark.parametrize(
    "part", ["features", "source", "position", "sources", "sources/dataset", "sources/sample"]
)
def test_a_part_of_a_memory_is_missing(remembering, part):
    with Opened(remembering) as opened:
        del opened.file[f"memories/smear/{part}"]
    refused(remembering, "memories/smear", "missing")


@pytest.mark.parametrize(
    "name", ["kind", "separation", "covering_radius", "converged", "epochs", "seen", "images", "coverage_share",
             "level", "level_from", "nominal", "data", "settings"],
)
def test_an_attribute_of_a_memory_is_missing_or_of_another_kind(remembering, name):
    for value in ("][", np.arange(3.0), h5py.Empty("f4"), None):
        save_model(model(memories={"smear": memory()}), remembering)
        with Opened(remembering) as opened:
            del opened.file["memories/smear"].attrs[name]
            if value is not None:
                opened.file["memories/smear"].attrs[name] = value
        if name not in ("level_from", "nominal", "converged") or value is None:  # of these any text, any truth does
            refused(remembering, "memories/smear")


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("features", np.zeros((4, D)), "should be float32"),
        ("features", np.zeros((4, D + 1), np.float32), "nominal memory have 5"),
        ("features", np.full((4, D), np.nan, np.float32), "not finite"),
        ("source", np.zeros(5, np.uint32), "5 rows for 4 vectors"),
        ("source", np.full(4, 2, np.uint32), "points outside sources"),
        ("position", np.zeros((4, 3), np.uint16), "shape (4, 3)"),
        ("sources/sample", ["a"], "outside sources"),
        ("sources/sample", np.zeros(2), "list of texts"),
    ],
)
def test_arrays_of_a_memory_of_another_form(remembering, part, value, words):
    with Opened(remembering) as opened:
        opened.set(f"memories/smear/{part}", value)
    refused(remembering, "memories/smear: damaged", words)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"kind": "dirt"}, "kind 'dirt', expected one of impurity, defect"), ({"level": -1.0}, "level -1.0"),
        ({"level": np.nan}, "level nan"), ({"coverage_share": 2.0}, "coverage_share 2.0"),
        ({"separation": -1.0}, "negative or not finite"), ({"covering_radius": np.inf}, "not finite"),
        ({"seen": -3}, "seen -3"), ({"data": '[{"name": "x"}]'}, "lacks a sound 'path'"),
        ({"epochs": '[{"replacements": "many"}]'}, "'replacements'"), ({"settings": "[" * 100_000}, "damaged"),
        ({"epochs": '[{"replacements": 1, "separation": -2.0}]'}, "negative"),
    ],
)
def test_attributes_of_a_memory_that_make_no_sense(remembering, attributes, words):
    with Opened(remembering) as opened:
        opened.file["memories/smear"].attrs.update(attributes)
    refused(remembering, "memories/smear", words)


def test_memories_that_are_none(remembering, path):
    def fresh():
        save_model(model(memories={"smear": memory()}), remembering)
        return Opened(remembering)

    with fresh() as opened:
        opened.file["memories"].create_group("%zz")  # no class is written so
    refused(remembering, "memories/%zz", "no class has such a group")
    with fresh() as opened:
        opened.file["memories/stain"] = np.zeros(3)
    refused(remembering, "memories/stain", "expected a group")
    with fresh() as opened:
        del opened.file["memories"]
        opened.file["memories"] = np.zeros(3)
    refused(remembering, "memories should be a group")
    for link in (h5py.ExternalLink("other.h5", "/coreset"), h5py.SoftLink("/elsewhere")):
        with fresh() as opened:
            opened.file["memories/stain"] = link
        refused(remembering, "memories/stain", "is a link, and links are not followed")
        with fresh() as opened:
            del opened.file["memories"]
            opened.file["memories"] = link
        refused(remembering, "memories is a link, and links are not followed")
    save_model(model(memories={"smear": memory(
        vectors=np.ones((1, D), np.float32), source=np.zeros(1, np.uint32), position=np.zeros((1, 2), np.uint16)
    )}), remembering)
    refused(remembering, "1 vector, expected at least 2")
    with fresh() as opened:
        opened.set("memories/smear/features", shape=(1 << 40, D), dtype=np.float32, chunks=(1024, D))
    refused(remembering, "declares the shape")
    assert remembering.stat().st_size < 100_000


def test_the_checker_computes_the_separation_of_each_memory_anew(remembering):
    save_model(model(memories={"smear": memory(separation=memory().separation * (1 + 1e-6))}), remembering)
    (problem,) = check_model(remembering)
    assert problem.startswith("memories/smear: separation is recorded as")


def test_a_file_with_memories_cut_short_anywhere(remembering):
    whole = remembering.read_bytes()
    for length in [*np.linspace(1, len(whole) - 1, 60).astype(int), len(whole) - 1]:
        remembering.write_bytes(whole[:length])
        refused(remembering)
