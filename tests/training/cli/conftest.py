# SPDX-License-Identifier: Apache-2.0
"""What the tests of the commands share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """A copy of the module's folder `made`, to change or spoil; the working directory."""
    shutil.copytree(made, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return tmp_path / "w"
