# SPDX-License-Identifier: Apache-2.0
"""Things that vanish at an output stride, and pixels of classes, against a count by brute force."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

import synthetic
from panpipe.model.inputs import records
from panpipe.model.metrics import data_findings
from panpipe.pipelines.record_files import looks

CODEC = synthetic.SMALL
FEWER = hypothesis.settings(deadline=None, max_examples=40)


@FEWER
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_counts_equal_those_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    panoptic = synthetic.panoptic_map(rng, CODEC, rng.integers(1, 50), rng.integers(1, 70))
    pixels, things, vanished = looks.count(panoptic, CODEC)
    classes = panoptic // CODEC.label_divisor
    assert pixels == {int(c): int((classes == c).sum()) for c in np.unique(classes) if c != 255}
    single = [i for i in np.unique(panoptic) if i // 100 in CODEC.thing_ids and i % 100]
    assert sum(things.values()) == len(single)
    for class_id in CODEC.thing_ids:
        mine = [i for i in single if i // 100 == class_id]
        for stride in data_findings.STRIDES:
            lost = [
                i
                for i in mine
                if not any(y % stride == x % stride == 0 for y, x in np.argwhere(panoptic == i).tolist())
            ]
            assert vanished.get((class_id, stride), 0) == len(lost)


def test_a_record_without_label_or_image():
    record = records.Record('a', b'\x89PNG', 'png', 2, 3)
    seen = looks.look(records.serialize(record), CODEC, 'test', 'file')
    assert (seen.greys, seen.pixels, seen.image) == (None, None, data_findings.Image('a', 'test', 'file'))
