# SPDX-License-Identifier: Apache-2.0
"""Folders of TFRecord files: written as shards, looked up again, counted."""
