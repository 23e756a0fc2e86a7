# SPDX-License-Identifier: Apache-2.0
"""A crash or an endless loop inside the HDF5 library is one line."""

import os
import signal

import h5py
import pytest
from sequential_patchcore.model import hdf5
from sequential_patchcore.model.file import load_model
from sequential_patchcore.runtime.errors import UserError


def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def endless(path):
    while True:
        pass


@pytest.mark.parametrize(("act", "said"), [(crash, "crashes"), (endless, "no end")])
def test_what_the_library_does_to_itself_is_told(tmp_path, monkeypatch, act, said):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"] = 1
    monkeypatch.setattr(hdf5, "_read_through", act)
    monkeypatch.setattr(hdf5, "_SECONDS", 1)
    with pytest.raises(UserError, match=f"m.h5: damaged: the HDF5 library .*{said}"):
        load_model(tmp_path / "m.h5")
