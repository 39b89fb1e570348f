# SPDX-License-Identifier: Apache-2.0
"""Makes the parts of networks from their options."""
