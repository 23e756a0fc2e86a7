# SPDX-License-Identifier: Apache-2.0
"""From data sets to a model: the stream of training images, sequential and greedy training, melding."""
