# SPDX-License-Identifier: Apache-2.0
"""From stored records to training samples: decode, resize, augment, targets."""
