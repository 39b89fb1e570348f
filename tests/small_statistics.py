# SPDX-License-Identifier: Apache-2.0
"""Statistics of a few images of Cityscapes, as the statistics job finds them."""

import dataclasses

from panpipe.model.metrics import data_statistics

CAR = data_statistics.ClassCounts(13, 'car', True, 9, 0.1, 4, 17, 0, 2.5)
UNSEEN = data_statistics.ClassCounts(16, 'train', True, 0, 0.0, 0, 0, 0, 0.0)
FOUND = data_statistics.Statistics(
    dataset='cityscapes_panoptic',
    description=None,
    images=6,
    labelled_images=6,
    height=data_statistics.Extent(64, 512.0, 1024),
    width=data_statistics.Extent(128, 1024.0, 2048),
    crop_size=(1025, 2049),
    void_share=0.125,
    crowd_segments=0,
    instances=data_statistics.Instances(17, data_statistics.PerImage(17 / 6, 9)),
    classes=(CAR, UNSEEN),
)


def with_most_instances(number: int) -> data_statistics.Statistics:
    """Makes statistics of data whose fullest image has that many instances."""
    per_image = data_statistics.PerImage(1.0, number)
    return dataclasses.replace(FOUND, instances=data_statistics.Instances(number, per_image))
