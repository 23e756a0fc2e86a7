# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender: install the add-on's zip, press its buttons, take it off. One line of JSON per check.

    python tests/blender/addon_session.py ZIP FOLDER              # with the bpy module
    blender -b -P tests/blender/addon_session.py -- ZIP FOLDER

`test_addon.py` starts it with a user folder of its own and reads the lines. The checks lie in `addon_checks/`, by
subject, and run in the order of SUBJECTS.
"""

import contextlib
import importlib
import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

SUBJECTS = ("installing", "stain_settings", "materials", "mask_preview", "presets", "inspection", "rendering",
            "own_scene", "registering")

if __name__ == "__main__":
    for subject in SUBJECTS:
        module = importlib.import_module(f"addon_checks.{subject}")
        for name in [name for name in vars(module) if name.startswith("check_")]:
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    vars(module)[name]()
                problem = ""
            except Exception:
                problem = traceback.format_exc()
            print("ADDON " + json.dumps({"check": f"{subject}.{name}", "problem": problem}), flush=True)
    os._exit(0)
