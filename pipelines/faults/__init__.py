# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a folder of predictions, as lists of faults."""
