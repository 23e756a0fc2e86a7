# SPDX-License-Identifier: Apache-2.0
"""Names that the command line needs before torch is loaded."""

FILTERS = "filters"
DEFAULT_BACKBONE = "mobilenetv3_large_100"
