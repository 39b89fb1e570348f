# SPDX-License-Identifier: Apache-2.0
"""Convolution and normalisation units that encoders and decoders share."""
