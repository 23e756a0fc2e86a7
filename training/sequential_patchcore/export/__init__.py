# SPDX-License-Identifier: Apache-2.0
"""A model as one graph from pixels to anomaly map, with a record beside it; and scores from that, without torch."""
