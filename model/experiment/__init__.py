# SPDX-License-Identifier: Apache-2.0
"""Experiment configurations: DeepLab2's messages, their text format, checks and overrides."""
