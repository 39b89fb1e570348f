# SPDX-License-Identifier: Apache-2.0
"""Post-processing in compiled ops: the kernels, the merge's pure-TensorFlow twin and its numpy oracle."""
