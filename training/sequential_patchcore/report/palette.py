# SPDX-License-Identifier: Apache-2.0
"""Colours shared by overlays, figures and page, as (R, G, B) of 0 to 255, and a way to write them for CSS."""

RGB = tuple[int, int, int]

# Appendix B of the paper: green, red and blue.
TRUE_POSITIVE: RGB = (24, 178, 72)
FALSE_POSITIVE: RGB = (230, 48, 44)
FALSE_NEGATIVE: RGB = (38, 104, 255)
IMPURITY_OUTLINE: RGB = (255, 186, 36)
UNPLACED: RGB = (170, 84, 224)  # predicted on an image that is labelled as a whole: right or wrong, nobody knows
PASSED: RGB = (66, 190, 214)  # predicted, and passed under an impurity's name
UNSURE: RGB = (255, 150, 20)

# Dark enough for lines on white, bright enough for outlines on grey metal, and none of the four above.
_CLASSES: tuple[RGB, ...] = (
    (217, 130, 0), (194, 85, 154), (63, 143, 208), (138, 122, 0), (122, 99, 199), (30, 156, 139),
)
# Okabe and Ito's palette, which people with any colour vision tell apart.
_MODELS: tuple[RGB, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (180, 140, 0), (90, 90, 90),
)


def class_colour(position: int) -> RGB:
    """Colour of the class at this place in the data set's list."""
    return _CLASSES[position % len(_CLASSES)]


def model_colour(position: int) -> RGB:
    """Colour of the model at this place in the comparison."""
    return _MODELS[position % len(_MODELS)]


def verdict_colour(verdict: str) -> RGB:
    """Of a region's verdict: "defect", "unsure" or the name that it was passed under."""
    return {"defect": FALSE_POSITIVE, "unsure": UNSURE}.get(verdict, PASSED)


def css(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
