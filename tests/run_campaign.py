# SPDX-License-Identifier: Apache-2.0
"""`make campaign`; the work is done in the folder campaign/ beside this file."""

import sys

from campaign.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
