# SPDX-License-Identifier: Apache-2.0
"""Panoptic segmentation: labels, data sets, configuration, network, training and evaluation."""
