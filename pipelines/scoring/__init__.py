# SPDX-License-Identifier: Apache-2.0
"""Scores of predictions: by the official evaluators, and panpipe's own beside them."""
