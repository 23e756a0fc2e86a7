# SPDX-License-Identifier: Apache-2.0
"""From a split of a data set to a folder of results."""
