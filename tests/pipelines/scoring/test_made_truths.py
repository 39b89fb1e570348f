# SPDX-License-Identifier: Apache-2.0
"""Ground truth in the COCO form, made from labels, says of every pixel what the label says."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from panpipe.model import datasets, errors
from panpipe.pipelines.formats import segments
from panpipe.pipelines.scoring import made_truths

FEWER = hypothesis.settings(deadline=None, max_examples=50)
SPEC = datasets.SPECS['cityscapes_panoptic']
PERSON, CAR, ROAD = 11, 13, 0
IDS = st.sampled_from([0, 10000, 11000, 11001, 11002, 13001, 255000])
MAPS = npst.arrays(np.int32, (3, 4), elements=IDS)


@FEWER
@hypothesis.given(MAPS)
def test_pixels_and_segments_agree(panoptic):
    colors, found = made_truths.encode(panoptic, SPEC)
    ids = segments.ids(colors)
    assert {s.id: s.area for s in found} == {
        int(i): int((ids == i).sum()) for i in np.unique(ids[panoptic != 255000])
    }
    np.testing.assert_array_equal(ids == 0, panoptic == 255000)
    for segment in found:
        (panoptic_id,) = np.unique(panoptic[ids == segment.id])
        assert segment.category_id == SPEC.by_id[panoptic_id // 1000].official_id
        assert segment.is_crowd == (panoptic_id == 11000)
        assert (panoptic == panoptic_id).sum() == segment.area


@FEWER
@hypothesis.given(MAPS)
def test_turning_the_label_turns_the_picture(panoptic):
    colors, found = made_truths.encode(panoptic, SPEC)
    turned, same = made_truths.encode(panoptic[::-1, ::-1], SPEC)
    np.testing.assert_array_equal(turned, colors[::-1, ::-1])
    assert same == found


def test_another_class_is_refused():
    with pytest.raises(ValueError, match='class 99 is not one of cityscapes_panoptic'):
        made_truths.encode(np.full((1, 1), 99000, np.int32), SPEC)


def _write(root, **ids):
    """Writes Cityscapes images with the given instance ids."""
    for name, numbers in ids.items():
        for kind, pixels in (
            ('leftImg8bit', np.zeros((*numbers.shape, 3), np.uint8)),
            ('gtFine', numbers.astype(np.uint16)),
        ):
            folder = root / kind / 'val/bonn'
            folder.mkdir(parents=True, exist_ok=True)
            ending = 'leftImg8bit' if kind == 'leftImg8bit' else 'gtFine_instanceIds'
            Image.fromarray(pixels).save(folder / f'bonn_{name}_000019_{ending}.png')
    return root


def test_a_split_is_made_of_its_labels(tmp_path):
    first = np.array([[7, 7, 24, 24001], [7, 26000, 0, 24001]])
    second = np.full((2, 4), 23)
    root = _write(tmp_path / 'raw', **{'000001': first, '000000': second})
    made = made_truths.make(root, 'val', SPEC, tmp_path / 'pngs')
    assert [one.file_name for one in made.document.annotations] == sorted(
        path.name for path in (tmp_path / 'pngs').iterdir()
    )
    sky, street = made.document.annotations
    assert [(s.category_id, s.area, s.is_crowd) for s in sky.segments] == [(23, 8, False)]
    assert sorted((s.category_id, s.area, s.is_crowd) for s in street.segments) == [
        (7, 3, False), (24, 1, True), (24, 2, False), (26, 1, False),
    ]  # fmt: skip
    assert {category.id for category in made.categories} == set(SPEC.from_official)
    assert set(made.document.images) == {one.image_id for one in made.document.annotations}
    classes = made.codec.decode(made.read(street).panoptic)[0]
    places = {index: category.id for index, category in enumerate(made.categories)}
    assert [[places.get(int(c), 0) for c in row] for row in classes] == [[7, 7, 24, 24], [7, 26, 0, 24]]


def test_no_data_set_is_told(tmp_path):
    with pytest.raises(errors.InputError, match=r'is not laid out like Cityscapes|is not a folder'):
        made_truths.make(tmp_path / 'none', 'val', SPEC, tmp_path / 'pngs')
