# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens while a slider moves. The properties know only that they changed; who acts on it is said here."""

from collections.abc import Callable

_actions: dict[str, Callable] = {}
_paused = 0


def act(kind: str, action: Callable | None) -> None:
    """Call `action(context, owner)` whenever a setting of this kind ("stain" or "scene") of an owner, a scene or a
    material, changes; None: nothing."""
    if action is None:
        _actions.pop(kind, None)
    else:
        _actions[kind] = action


class paused:
    """Change many settings, and act once, afterwards."""

    def __enter__(self):
        global _paused
        _paused += 1

    def __exit__(self, *_):
        global _paused
        _paused -= 1


def fire(kind: str, context, owner) -> None:
    """Act as if a setting of this kind had changed. owner: the scene or the material that holds it."""
    if not _paused and kind in _actions:
        _actions[kind](context, owner)


def changed(kind: str) -> Callable:
    """The `update` of a property."""

    def update(settings, context) -> None:
        fire(kind, context, settings.id_data)

    return update
