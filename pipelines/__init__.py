# SPDX-License-Identifier: Apache-2.0
"""Apache Beam jobs: convert, statistics, predict, and the official formats around them."""
