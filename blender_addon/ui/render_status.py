# SPDX-License-Identifier: GPL-3.0-or-later
"""The background render that is at work, how the last one ended, and what the window shows of it."""

import shutil

import bpy

from .background import BackgroundRender

_running: list["Work"] = []
_last_words: list[str] = []


class Work:
    """A background render with what belongs to it in the window."""

    def __init__(self, render: BackgroundRender, scratch: str) -> None:
        self.render, self.scratch, self.timer = render, scratch, None
        _running.append(self)
        say("")

    @property
    def is_running(self) -> bool:
        """Whether nobody has ended it."""
        return self in _running

    def end(self) -> None:
        self.render.stop() if self.render.poll() else None
        if self.timer is not None:
            bpy.context.window_manager.event_timer_remove(self.timer)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self.is_running:
            _running.remove(self)
        show_status(bpy.context, None)


def running() -> BackgroundRender | None:
    """The render that is at work."""
    return _running[0].render if _running else None


def last_words() -> str:
    """How the last render ended; nothing after it was taken note of."""
    return _last_words[0] if _last_words else ""


def say(words: str) -> None:
    """Keep how a render ended; nothing, once a person has taken note of it."""
    _last_words[:] = [words] if words else []


def stop() -> None:
    """End the render that is at work; its own operator sees the end, and says what is kept."""
    for work in _running:
        work.render.stop()


def stop_all() -> None:
    """End what runs, for the add-on that is switched off and the window that is closed."""
    for work in list(_running):
        work.end()
    say("")


def show_status(context, text: str | None) -> None:
    """Write a line into the window's status bar (None: Blender's own again) and draw the sidebar anew."""
    manager = context.window_manager
    for window in manager.windows if manager else ():
        window.workspace.status_text_set(text)
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
