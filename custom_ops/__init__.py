# SPDX-License-Identifier: Apache-2.0
"""The merge op: compiled kernel, pure-TensorFlow twin and numpy oracle."""
