# SPDX-License-Identifier: Apache-2.0
"""Folders of predictions: how they are made, resumed, read back and packed."""
