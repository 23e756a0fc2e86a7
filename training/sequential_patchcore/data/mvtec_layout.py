# SPDX-License-Identifier: Apache-2.0
"""The layout of MVTec-AD-like trees.

```
train/good/*.png   test/good/*.png   test/TYPE/*.png   ground_truth/TYPE/STEM_mask.png
```
A validation split lies in `validation/good`, `validation/TYPE` and `validation_ground_truth/TYPE`: apart from
`ground_truth/`, since readers of the layout expect one mask there for each defective image of `test/`.
"""

# Split -> folder of the images, folder of the masks ("" where there are none).
FOLDERS = {"train": ("train", ""), "val": ("validation", "validation_ground_truth"), "test": ("test", "ground_truth")}
# Names under which others keep them; read without regard to case.
OTHER_NAMES = {
    "training": "train", "val": "validation", "valid": "validation", "testing": "test",
    "val_ground_truth": "validation_ground_truth", "valid_ground_truth": "validation_ground_truth",
}
GOOD = "good"
COMBINED = "combined"  # of several classes in one image
