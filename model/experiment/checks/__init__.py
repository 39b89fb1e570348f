# SPDX-License-Identifier: Apache-2.0
"""The rules that a configuration must keep; each finding names the field, its value and the cure."""
