# SPDX-License-Identifier: Apache-2.0
"""What Beam jobs share while they run: workers, mistakes found on them, images that are skipped."""
