# SPDX-License-Identifier: GPL-3.0-or-later
"""What all buttons share: they say why they cannot work, and what is the user's to mend is reported in one line."""

from ..core.errors import UserError
from .properties import settings_of


class Button:
    """To be mixed into an operator: `why_not` answers `poll`, `run` does the work."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 - Blender's way

    @classmethod
    def why_not(cls, context) -> str:
        """Why the button cannot be pressed, in words for a person; nothing when it can."""
        return ""

    @classmethod
    def poll(cls, context):
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context):
        try:
            self.run(context, settings_of(context.scene))
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}
