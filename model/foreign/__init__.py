# SPDX-License-Identifier: Apache-2.0
"""Weights of other libraries, brought under our names."""
