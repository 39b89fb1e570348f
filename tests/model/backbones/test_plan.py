# SPDX-License-Identifier: Apache-2.0
"""Strides become rates where the output stride is reached."""

import pytest

from panpipe.model.backbones import plan


def _steps(stage, output_stride):
    return [(place.stride, place.rate, place.last_rate) for place in plan.places(stage, 3, output_stride)]


@pytest.mark.parametrize(
    ('output_stride', 'stage', 'first', 'others'),
    [
        (32, 4, (2, 1, 1), (1, 1, 1)),
        (32, 5, (2, 1, 1), (1, 1, 1)),
        (16, 4, (2, 1, 1), (1, 1, 1)),
        (16, 5, (1, 1, 2), (1, 2, 2)),
        (8, 4, (1, 1, 2), (1, 2, 2)),
        (8, 5, (1, 2, 4), (1, 4, 4)),
        (32, 1, (1, 1, 1), (1, 1, 1)),
    ],
)
def test_places(output_stride, stage, first, others):
    assert _steps(stage, output_stride) == [first, others, others]


def test_no_blocks():
    assert plan.places(1, 0, 16) == []


def test_survival():
    linear = plan.DropPath(0.8, is_linear=True, from_stride=4)
    found = [
        [round(linear.survival(place.nominal), 3) for place in plan.places(stage, 2, 16)]
        for stage in (2, 3, 4, 5)
    ]
    assert found == [[1.0, 0.95], [0.95, 0.9], [0.9, 0.85], [0.85, 0.8]]
    constant = plan.DropPath(0.8, from_stride=16)
    assert [constant.survival(nominal) for nominal in (2, 8, 16, 32)] == [1, 1, 0.8, 0.8]
