# SPDX-License-Identifier: Apache-2.0
"""Atrous spatial pyramid pooling, feature fusion and prediction heads."""
