# SPDX-License-Identifier: Apache-2.0
"""All that is drawn: overlays, figures, tables, the HTML page; it computes no figure."""
