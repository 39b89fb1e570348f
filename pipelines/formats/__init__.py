# SPDX-License-Identifier: Apache-2.0
"""Writers of official files: predictions to what the external evaluators take."""
