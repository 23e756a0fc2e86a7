# SPDX-License-Identifier: Apache-2.0
"""The data set folder: its format, reading, writing, checking; photographs; importers and exporters."""
