# SPDX-License-Identifier: Apache-2.0
"""Daily work: photographs in, verdicts out."""
