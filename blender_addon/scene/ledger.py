# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a person's scene that are all taken back: what was set is set again, what was made is removed."""

from collections.abc import Callable
from typing import Any

IMAGE_SETTINGS = ("media_type", "file_format", "color_mode", "color_depth", "exr_codec", "compression")
"""In the order in which they can be set: what a later one may be depends on the earlier ones."""


class Ledger:
    """Remembers every change; `undo` takes them back, the last one first. Use it in a `with` statement.

        with Ledger() as changes:
            changes.set(scene.cycles, "samples", 1)
            changes.on_undo(lambda: bpy.data.materials.remove(made))
    """

    def __init__(self) -> None:
        self._steps: list[Callable[[], Any]] = []

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_) -> None:
        self.undo()

    def set(self, owner, name: str, value: Any) -> None:
        """Set an attribute of a data block, or of a part of it. An attribute that this Blender lacks is passed by."""
        if hasattr(owner, name):
            self.keep(owner, name)
            setattr(owner, name, value)

    def keep(self, owner, *names: str) -> None:
        """Remember attributes that are about to change together, and set them again in this order."""
        there = [name for name in names if hasattr(owner, name)]
        old = {name: _value(getattr(owner, name)) for name in there}
        unset = [name for name in there if not owner.is_property_set(name)]

        def restore() -> None:
            for name, value in old.items():
                setattr(owner, name, value)
            for name in unset:  # a declared property that nobody has set is not stored in the file
                owner.property_unset(name)

        self._steps.append(restore)

    def on_undo(self, step: Callable[[], Any]) -> None:
        """Do this when the changes are taken back."""
        self._steps.append(step)

    def undo(self) -> None:
        """Take everything back. A step that fails does not keep the others from being taken; its error is raised."""
        problem = None
        while self._steps:
            try:
                self._steps.pop()()
            except Exception as error:  # all other steps must still be taken
                problem = problem or error
        if problem is not None:
            raise problem


def _value(held):
    """A copy of what an attribute holds: Blender's arrays go on following their owner."""
    return tuple(held) if hasattr(held, "__len__") and not isinstance(held, str) else held
