# SPDX-License-Identifier: Apache-2.0
"""Toy street scenes with exact panoptic labels, in the official layouts."""
