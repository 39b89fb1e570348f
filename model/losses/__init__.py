# SPDX-License-Identifier: Apache-2.0
"""Per-pixel losses, their average over hard pixels, and the weighted total."""
