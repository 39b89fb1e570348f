# SPDX-License-Identifier: Apache-2.0
"""Metrics as values that add up: panoptic quality, intersection over union, boundaries, average precision."""
