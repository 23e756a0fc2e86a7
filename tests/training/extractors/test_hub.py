# SPDX-License-Identifier: Apache-2.0
"""Without a network the weights are asked for once, and the answer is one line."""

import socket

import pytest
from sequential_patchcore.extractors import hub
from sequential_patchcore.extractors.builder import build_extractor
from sequential_patchcore.runtime.errors import UserError


@pytest.fixture
def tried(monkeypatch, tmp_path) -> list:
    """The connections that are asked for, all of them refused; nothing is kept from before."""
    from huggingface_hub import constants

    found = []

    def refuse(*address, **_):
        found.append(address)
        raise OSError("no network")

    for name in hub._PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return found


def test_one_try_and_one_line_where_there_is_no_network(tried, capfd):
    from huggingface_hub import constants

    with pytest.raises(UserError, match=r"no weights for mobilenetv3_small_100: the hub could not be reached"):
        build_extractor("mobilenetv3_small_100")
    assert len(tried) == 1
    assert capfd.readouterr().err == ""
    assert constants.HF_HUB_OFFLINE is False, "the next call looks again"


def test_behind_a_proxy_the_client_finds_out(tried, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert hub.is_reachable() and not tried


def test_a_hub_that_answers_is_reachable(monkeypatch):
    for name in hub._PROXIES:
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.is_reachable()
    assert not hub.is_reachable()
