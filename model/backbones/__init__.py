# SPDX-License-Identifier: Apache-2.0
"""Encoders, one file a family."""
