# SPDX-License-Identifier: Apache-2.0
"""Parts of the report and of the pictures that show draws: gallery, charts, curves, sheets."""
