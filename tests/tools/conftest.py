# SPDX-License-Identifier: Apache-2.0
"""The small data sets of the training package's tests, for the tools that drive it."""

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("training_fixtures", Path(__file__).parents[1] / "training/conftest.py")
_FIXTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FIXTURES)
one_thread, plates = _FIXTURES.one_thread, _FIXTURES.plates
