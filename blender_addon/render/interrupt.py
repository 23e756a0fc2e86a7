# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C and SIGTERM leave at once, with exit code 130: what is finished is on disk, the rest was never there.

Blender renders for minutes without coming back to Python, so a Python signal handler would be late. The interpreter's
wake-up descriptor is written from the signal itself; a thread waits at its other end.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

INTERRUPTED = 130


def leave_on_signals(clean_up: Callable[[], None]) -> None:
    """Call `clean_up` and end the process with 130 on SIGINT or SIGTERM. Call it from the main thread."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    stderr = os.dup(2)  # the real one, whatever the terminal's is sent to while Blender renders

    def wait() -> None:
        with writer:  # the thread keeps the pair alive
            while reader.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
                pass
            try:
                clean_up()
            finally:
                os.write(stderr, b"\ninterrupted: finished samples are kept; the same command goes on from there\n")
                sys.stdout.flush()
                os._exit(INTERRUPTED)

    threading.Thread(target=wait, name="interrupt", daemon=True).start()
