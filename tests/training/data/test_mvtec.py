# SPDX-License-Identifier: Apache-2.0
"""MVTec-AD-like trees: in, out, and round."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sequential_patchcore.data.check import check_dataset
from sequential_patchcore.data.dataset import ClassInfo, open_dataset
from sequential_patchcore.data.exporters.mvtec import export_mvtec
from sequential_patchcore.data.importers.importing import import_dataset
from sequential_patchcore.data.importers.options import ImportOptions
from sequential_patchcore.data.writer import DatasetWriter
from sequential_patchcore.runtime.errors import UserError

SIZE = (20, 30)


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """2 good for training; test: 1 good, 4 scratch (two parts that touch at a corner, and one apart), 1 dent."""
    root = tmp_path / "metal"
    mask = np.zeros(SIZE, np.uint8)
    mask[2:4, 2:4] = mask[4:6, 4:6] = 255
    mask[10:12, 20:25] = 255
    for number in range(2):
        save(root / f"train/good/{number:03}.png", noise(number))
    save(root / "test/good/000.png", noise(2))
    for number in range(4):
        save(root / f"test/scratch/{number:03}.png", noise(3 + number))
        save(root / f"ground_truth/scratch/{number:03}_mask.png", mask)
    save(root / "test/dent/000.png", noise(9))
    save(root / "ground_truth/dent/000_mask.png", np.eye(*SIZE, dtype=np.uint8))
    return root


def bring_in(tree: Path, out: Path, **settings):
    return open_dataset(import_dataset("mvtec", tree, out, ImportOptions(**settings), progress=False))


def test_a_tree_becomes_a_data_set(tree, tmp_path):
    dataset = bring_in(tree, tmp_path / "d")
    assert [(c.id, c.name, c.kind) for c in dataset.classes] == [(2, "dent", "defect"), (4, "scratch", "defect")]
    assert len(dataset.split("train")) == 2 and len(dataset.split("test")) == 6
    by_id = {s.id: s for s in dataset.samples}
    assert [i.pixels for i in by_id["test_scratch_001"].instances] == [8, 10]
    assert [i.pixels for i in by_id["test_dent_000"].instances] == [20]
    assert not by_id["test_good_000"].instances
    assert check_dataset(dataset.path) == []


def test_a_share_of_the_test_images_can_become_the_validation(tree, tmp_path):
    dataset = bring_in(tree, tmp_path / "d", val_fraction=0.5)
    val = [s.id for s in dataset.split("val")]
    assert sum("scratch" in i for i in val) == 2 and len(dataset.split("test")) == 6 - len(val)
    assert [s.id for s in bring_in(tree, tmp_path / "e", val_fraction=0.5).split("val")] == val


def test_types_can_be_renamed_ignored_and_be_impurities(tree, tmp_path):
    dataset = bring_in(tree, tmp_path / "d", defects=["line"], impurities=["dirt"],
                       aliases={"scratch": "line", "dent": "dirt"})
    assert dataset.defect_ids == (1,) and dataset.impurity_ids == (2,)
    assert len(bring_in(tree, tmp_path / "e", ignore=["dent"]).samples) == 7


@pytest.mark.parametrize(("damage", "message"), [
    (lambda t: shutil.rmtree(t), "no such folder"),
    (lambda t: [shutil.rmtree(t / x) for x in ("train", "test")], "no MVTec-AD-like tree"),
    (lambda t: (t / "ground_truth/dent/000_mask.png").unlink(), "has no mask; expected"),
    (lambda t: save(t / "ground_truth/dent/000_mask.png", np.zeros((3, 4), np.uint8)), "is 4 x 3 pixels, its image 30"),
    (lambda t: save(t / "train/dent/000.png", noise(0)), "holds only the folder good"),
    (lambda t: save(t / "test/000.png", noise(0)), "expected test/TYPE/FILE"),
    (lambda t: (t / "test/dent/000.png").write_bytes(b"x"), "expected a picture"),
])
def test_bad_trees_are_refused_in_one_line(tree, tmp_path, damage, message):
    damage(tree)
    with pytest.raises(UserError, match=message) as caught:
        bring_in(tree, tmp_path / "d")
    assert "\n" not in str(caught.value)


def test_a_tree_survives_the_way_through_a_data_set(tree, tmp_path):
    """Pixel for pixel: import, export and import again, a validation split included."""
    first = bring_in(tree, tmp_path / "d", val_fraction=0.5)
    exported = export_mvtec(first, tmp_path / "out", progress=False)
    # As many masks as defective test images: other readers of the layout count on it.
    defective = [p for p in (exported / "test").rglob("*.png") if p.parent.name != "good"]
    assert len(list((exported / "ground_truth").rglob("*.png"))) == len(defective) == 3
    second = bring_in(exported, tmp_path / "e")
    assert [(s.id, s.split) for s in second.samples] == [(s.id, s.split) for s in first.samples]
    for a, b in zip(first.samples, second.samples, strict=True):
        assert a.instances == b.instances
        np.testing.assert_array_equal(first.image(a), second.image(b))
        np.testing.assert_array_equal(first.mask(a), second.mask(b))
        np.testing.assert_array_equal(first.instances(a), second.instances(b))


# What a stranger writes who knows the layout, NumPy and Pillow, and not this package.
READER = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
root, found = Path(sys.argv[1]), {}
assert {p.name for p in (root / "train").iterdir()} == {"good"}
for image in sorted(root.glob("t*/*/*.png")):
    split, kind = image.relative_to(root).parts[:2]
    with Image.open(image) as opened:
        assert opened.format == "PNG" and opened.mode in ("L", "RGB")
        size = opened.size
    pixels = 0
    if kind != "good":
        mask = Image.open(root / "ground_truth" / kind / (image.stem + "_mask.png"))
        assert mask.mode == "L" and mask.size == size and set(np.unique(mask)) == {0, 255}
        pixels = int(np.count_nonzero(mask))
    found.setdefault(f"{split}/{kind}", []).append(pixels)
masks = sorted(p.relative_to(root / "ground_truth").parts[0] for p in root.glob("ground_truth/*/*"))
tests = sorted(p.parent.name for p in root.glob("test/*/*.png") if p.parent.name != "good")
assert masks == tests, "as many masks as defective images"
print(json.dumps(found))
"""


def test_a_plain_script_reads_what_is_exported(tree, tmp_path):
    dataset = bring_in(tree, tmp_path / "d")
    out = export_mvtec(dataset, tmp_path / "out", progress=False)
    done = subprocess.run([sys.executable, "-c", READER, str(out)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "train/good": [0, 0], "test/good": [0], "test/scratch": [18] * 4, "test/dent": [20],
    }


def test_an_export_holds_defects_only_and_names_mixtures(tmp_path, capsys):
    classes = (ClassInfo(1, "bump", "defect"), ClassInfo(2, "dent", "defect"), ClassInfo(6, "water_stain", "impurity"))
    cases = {"stain": {1: 6}, "bump": {1: 1, 2: 6}, "both": {1: 1, 2: 2}, "train_bump": {1: 1}}
    with DatasetWriter(tmp_path / "d", "x", "test", classes) as writer:
        for name, instance_classes in cases.items():
            instances = np.zeros(SIZE, np.uint16)
            mask = np.zeros(SIZE, np.uint8)
            for number, class_id in instance_classes.items():
                instances[5 * number, :10], mask[5 * number, :10] = number, class_id
            split = "train" if name.startswith("train") else "test"
            writer.add(name, noise(0), mask, instances, instance_classes, split, name)
    export_mvtec(open_dataset(tmp_path / "d"), tmp_path / "out", progress=False)
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert files == ["ground_truth/bump/bump_mask.png", "ground_truth/combined/both_mask.png", "test/bump/bump.png",
                     "test/combined/both.png", "test/good/stain.png"]
    mask = np.array(Image.open(tmp_path / "out/ground_truth/bump/bump_mask.png"))
    assert mask.max() == 255 and np.count_nonzero(mask) == 10 and (mask[5, :10] == 255).all()
    assert "1 training images with defects were left out" in capsys.readouterr().err


def test_an_export_is_whole_or_not_there(tree, tmp_path):
    dataset = bring_in(tree, tmp_path / "d")
    (tmp_path / "d/masks/test_scratch_002.png").write_bytes(b"")
    with pytest.raises(UserError, match="test_scratch_002"):
        export_mvtec(dataset, tmp_path / "out", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "metal"]
    with pytest.raises(UserError, match="not empty"):
        export_mvtec(dataset, tree, progress=False)
