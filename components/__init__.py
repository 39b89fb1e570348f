# SPDX-License-Identifier: Apache-2.0
"""Kubeflow Pipelines components, the pipeline that joins them, and the panpipe command."""
