# SPDX-License-Identifier: Apache-2.0
"""Storage: files and trees on this machine, on gs:// and on s3://, and the two formats kept there."""
