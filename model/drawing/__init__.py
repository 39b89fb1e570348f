# SPDX-License-Identifier: Apache-2.0
"""Pictures of maps for people to look at, with numpy and Pillow alone."""
