# SPDX-License-Identifier: Apache-2.0
"""Importing the package changes nothing for the program that imports it."""

import json
import os
import pkgutil
import subprocess
import sys

import sequential_patchcore

SCRIPT = """
import importlib, json, logging, sys
import cv2, matplotlib

def state():
    return {
        "matplotlib's backend": repr(matplotlib.rcParams._get("backend")),
        "matplotlib's settings": repr({k: matplotlib.rcParams._get(k) for k in matplotlib.rcParams}),
        "OpenCV's log level": cv2.utils.logging.getLogLevel(),
        "the root logger": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "timm's log level": logging.getLogger("timm").level,
    }

before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
print(json.dumps([what for what in before if before[what] != after[what]]))
"""


def test_no_module_changes_another_librarys_settings():
    names = [
        module.name for module in pkgutil.walk_packages(sequential_patchcore.__path__, "sequential_patchcore.")
        if not module.name.endswith("__main__")
    ]
    assert len(names) > 50
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("MPLBACKEND", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
