# SPDX-License-Identifier: Apache-2.0
"""What a network is follows from which architecture is set."""

import pytest

from panpipe.model.experiment import network_options as options

PIXELS = options.PanopticDeeplabOptions()
SEMANTIC = options.PanopticDeeplabOptions(instance=options.InstanceOptions(enable=False))


@pytest.mark.parametrize(
    ('model', 'has_instances', 'has_masks', 'is_semantic_only', 'has_pixel_heads'),
    [
        (options.ModelOptions(), False, False, False, False),
        (options.ModelOptions(panoptic_deeplab=PIXELS), True, False, False, True),
        (options.ModelOptions(panoptic_deeplab=SEMANTIC), False, False, True, True),
        (options.ModelOptions(deeplab_v3=options.DeeplabV3Options()), False, False, True, True),
        (options.ModelOptions(deeplab_v3_plus=options.DeeplabV3PlusOptions()), False, False, True, True),
        (options.ModelOptions(max_deeplab=options.MaXDeepLabOptions()), True, True, False, False),
    ],
)
def test_what_a_network_is(model, has_instances, has_masks, is_semantic_only, has_pixel_heads):
    assert model.has_instances == has_instances
    assert model.has_masks == has_masks
    assert model.is_semantic_only == is_semantic_only
    assert model.has_pixel_heads == has_pixel_heads


def test_messages_are_values():
    first = options.DecoderOptions('res5', atrous_rates=[6, 12, 18])
    assert first == options.DecoderOptions('res5', atrous_rates=(6, 12, 18))
    assert hash(first) == hash(options.DecoderOptions('res5', atrous_rates=(6, 12, 18)))
    assert first.atrous_rates == (6, 12, 18)
