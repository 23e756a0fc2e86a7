# SPDX-License-Identifier: Apache-2.0
"""`make reproduce`: the paper's tables I and II by one command; docs/reproduction.md is what it wrote.

`--help` lists the options; the scenarios are in reproduction/paper.toml. Finished work is recognised and kept.
"""

import sys
from pathlib import Path

from reproduction.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).absolute().parent.parent))
