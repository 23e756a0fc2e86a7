# SPDX-License-Identifier: Apache-2.0
"""Whether the hub that timm's weights come from can be reached: one look, where its client would try for a minute."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_SECONDS = 5.0
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


def is_reachable() -> bool:
    """Whether a connection to the hub (HF_ENDPOINT, or its own address) opens; behind a proxy only the client can tell,
    and the answer is yes."""
    if any(os.environ.get(name) for name in _PROXIES):
        return True
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        with socket.create_connection((hub.hostname, hub.port or (80 if hub.scheme == "http" else 443)), _SECONDS):
            return True
    except OSError:
        return False


@contextmanager
def offline_where_unreachable() -> Iterator[None]:
    """Inside, the hub's client takes what it has kept, and asks no further, where the hub cannot be reached."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
