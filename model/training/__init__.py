# SPDX-License-Identifier: Apache-2.0
"""Training: its loop, the step that changes weights, optimizers, evaluation, and the folder of a run."""
