# SPDX-License-Identifier: Apache-2.0
"""Feature extractors: a batch of images in, a grid of patch vectors out; and where in the image each patch looks."""
