# SPDX-License-Identifier: Apache-2.0
"""What every job shares: command line and exit status, output checks, progress, a quiet console."""
