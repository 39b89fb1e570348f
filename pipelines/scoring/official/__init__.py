# SPDX-License-Identifier: Apache-2.0
"""Programs for the official evaluators' own interpreter: plain scripts that must not import panpipe."""
