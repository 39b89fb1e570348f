# SPDX-License-Identifier: Apache-2.0
"""COCO: segments become panoptic ids as specified, and contradictions are told."""

import json

import numpy as np
import pytest
from PIL import Image

import shared
from panpipe.model import datasets, errors
from panpipe.pipelines.sources import ade20k, coco, entries

SPEC = datasets.find('coco_panoptic')
# Two persons and a crowd of them, sky, and a pixel of void.
COLORS = np.array([[70000, 70000, 9, 9], [300, 300, 300, 0]])
SEGMENTS = [
    {'id': 9, 'category_id': 187, 'area': 2, 'iscrowd': 0},
    {'id': 300, 'category_id': 1, 'area': 3, 'iscrowd': 1},
    {'id': 70000, 'category_id': 1, 'area': 2, 'iscrowd': 0},
]
SKY = 120


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _write(root, annotations=None, colors=COLORS, names=('000000000009',), folder='train2017'):
    """Writes images that all have the same label map."""
    rgb = np.stack([colors % 256, colors // 256 % 256, colors // 65536], -1)
    for name in names:
        _save(root / folder / f'{name}.jpg', np.full(rgb.shape, 128))
        _save(root / f'annotations/panoptic_{folder}/{name}.png', rgb)
    if annotations is None:
        annotations = [
            {'image_id': int(name), 'file_name': f'{name}.png', 'segments_info': SEGMENTS} for name in names
        ]
    content = json.dumps({'annotations': annotations})
    (root / f'annotations/panoptic_{folder}.json').write_text(content)
    return root


def _maps(root, split='train', **options):
    found = coco.list_images(root, split, SPEC, **options)
    return {entry.image_id: entries.load(entry).panoptic for entry in found}


def _with(**changes):
    segments = [{**SEGMENTS[0], **changes}, *SEGMENTS[1:]]
    return [{'image_id': 9, 'file_name': '000000000009.png', 'segments_info': segments}]


def test_segments_map_as_specified(tmp_path):
    panoptic = _maps(_write(tmp_path))['000000000009']
    assert panoptic.dtype == np.int32
    np.testing.assert_array_equal(panoptic, [[257, 257, SKY * 256, SKY * 256], [256, 256, 256, 0]])
    ignored = _maps(tmp_path, treat_crowd_as_ignore=True)['000000000009']
    np.testing.assert_array_equal(ignored, np.where(panoptic == 256, 0, panoptic))


def test_images_may_share_segment_ids(tmp_path):
    maps = _maps(_write(tmp_path, names=('000000000002', '000000000010')))
    assert list(maps) == ['000000000002', '000000000010']
    np.testing.assert_array_equal(*maps.values())


def test_instances_count_in_the_order_of_the_json(tmp_path):
    colors = np.array([[1, 2, 3]])
    segments = [{'id': i, 'category_id': 3, 'area': 1, 'iscrowd': 0} for i in (3, 1, 2)]
    annotation = {'image_id': 9, 'file_name': '000000000009.png', 'segments_info': segments}
    (panoptic,) = _maps(_write(tmp_path, [annotation], colors)).values()
    np.testing.assert_array_equal(panoptic, [[770, 771, 769]])


def test_the_real_sample_with_crowd():
    root = shared.sample('coco')
    maps = _maps(root, 'val')
    annotations = json.loads((root / 'annotations/panoptic_val2017.json').read_text())['annotations']
    crowds = 0
    for annotation in annotations:
        panoptic = maps[annotation['file_name'].removesuffix('.png')]
        rgb = np.asarray(Image.open(root / 'annotations/panoptic_val2017' / annotation['file_name']))
        colors = rgb.astype(np.int64) @ (1, 256, 65536)
        counts = {}
        for segment in annotation['segments_info']:
            category = SPEC.from_official[segment['category_id']]
            counts[category.id] = counts.get(category.id, 0) + (not segment['iscrowd'])
            instance = counts[category.id] if category.is_thing and not segment['iscrowd'] else 0
            assert set(panoptic[colors == segment['id']].tolist()) == {category.id * 256 + instance}
            crowds += segment['iscrowd']
        assert set(panoptic[colors == 0].tolist()) == {0}
    assert crowds == 3
    assert [(panoptic == 0).sum() for panoptic in maps.values()] == [2712, 7189]


def test_folders_may_be_called_like_the_splits(tmp_path):
    assert list(_maps(_write(tmp_path, folder='train'))) == ['000000000009']


def test_annotations_of_other_images_are_left_alone(tmp_path):
    _write(tmp_path, names=('000000000002', '000000000010'))
    (tmp_path / 'train2017/000000000002.jpg').unlink()
    assert list(_maps(tmp_path)) == ['000000000010']


@pytest.mark.parametrize(
    ('annotations', 'message'),
    [
        (_with(area=3), 'segment 9: area 3, 2 pixels'),
        (_with(id=10), 'its pixels name segment 9, which the JSON file does not list'),
        (_with(id=300), 'segment 300 is listed twice'),
        (_with(id=0), 'segment 0 has an id outside 1 .. 16777215'),
        (_with(iscrowd=1), 'segment 9 is a crowd of category 187, which is stuff'),
        (_with(category_id=12), 'segment 9 is of category 12, which the data set does not have'),
        (_with() + _with(), 'lists the image 9 twice'),
        ([], 'has no annotation of the image .*000000000009.jpg'),
        (_with(id='9'), r'image 9: id of the segment {"id": "9", .*} must be a whole number; correct'),
        (_with(id=[9]), 'id of the segment .* must be a whole number'),
        (_with(id=9.5), 'id of the segment .* must be a whole number'),
        (_with(id=True), 'id of the segment .* must be a whole number'),
        (_with(category_id='187'), 'category_id of the segment .* must be a whole number'),
        (_with(category_id=[187]), 'category_id of the segment .* must be a whole number'),
        (_with(iscrowd='0'), 'iscrowd of the segment .* must be 0 or 1'),
        (_with(iscrowd=2), 'iscrowd of the segment .* must be 0 or 1'),
        (_with(area='2'), 'area of the segment .* must be a number from 0 on'),
        ([{**_with()[0], 'segments_info': [{'id': 9, 'category_id': 187}]}], 'has no area; add it'),
        ([{'image_id': 9}], 'the annotation {"image_id": 9} has no file_name; add it'),
        ({'000000000009.png': SEGMENTS}, 'is not a panoptic JSON file'),
    ],
)
def test_contradictions_are_told(annotations, message, tmp_path):
    with pytest.raises(errors.InputError, match=message):
        _maps(_write(tmp_path, annotations))


def test_a_deep_file_is_told(tmp_path):
    root = _write(tmp_path)
    (root / 'annotations/panoptic_train2017.json').write_text('[' * 10**5)
    with pytest.raises(errors.InputError, match='is not a panoptic JSON file'):
        _maps(root)


def test_too_many_instances_are_told_before_any_work(tmp_path):
    colors = np.arange(1, 257).reshape(16, 16)
    segments = [{'id': i, 'category_id': 1, 'area': 1, 'iscrowd': 0} for i in range(1, 257)]
    annotation = {'image_id': 9, 'file_name': '000000000009.png', 'segments_info': segments}
    _write(tmp_path, [annotation], colors)
    with pytest.raises(
        errors.InputError, match='class 1 has 256 instances, but label_divisor 256 leaves room for 255'
    ):
        coco.list_images(tmp_path, 'train', SPEC)


def _no_png(root):
    next(root.glob('annotations/*/*.png')).unlink()
    return '000000000009.png is missing, but .*panoptic_train2017.json names it'


def _no_json(root):
    (root / 'annotations/panoptic_train2017.json').unlink()
    return 'panoptic_train2017.json is missing; unpack panoptic_annotations_trainval2017.zip'


def _broken_json(root):
    path = root / 'annotations/panoptic_train2017.json'
    path.write_text(path.read_text()[:40])
    return 'is not a panoptic JSON file of the COCO form'


def _no_images(root):
    (root / 'train2017/000000000009.jpg').unlink()
    return r'has no images of train in train2017/ or train/ \(it holds annotations, train2017\)'


def _cityscapes(root):
    (root / 'train2017').rename(root / 'leftImg8bit')
    return 'looks like Cityscapes, not like COCO .*; try --dataset cityscapes_panoptic'


def _something_else(root):
    (root / 'train2017').rename(root / 'photos')
    (root / 'annotations').rename(root / 'labels')
    return 'is not laid out like COCO: expected .*, but it holds labels, photos$'


def _twins(root):
    Image.new('RGB', (4, 2)).save(root / 'train2017/000000000009.png')
    return 'several images are called 000000000009'


def _grey_label(root):
    Image.new('L', (4, 2)).save(root / 'annotations/panoptic_train2017/000000000009.png')
    return 'is a label image of mode L, 8 bits a channel; a panoptic PNG holds'


def _another_size(root):
    Image.new('RGB', (2, 4)).save(root / 'train2017/000000000009.jpg')
    return r'is 2 x 4 \(height x width\), but its image .* is 4 x 2'


def _cut_short(root):
    path = root / 'train2017/000000000009.jpg'
    path.write_bytes(path.read_bytes()[:-20])
    return r'000000000009\.jpg cannot be decoded'


@pytest.mark.parametrize(
    'spoil',
    [
        _no_png, _no_json, _broken_json, _no_images, _cityscapes, _something_else, _twins, _grey_label,
        _another_size, _cut_short,
    ],
)  # fmt: skip
def test_wrong_folders_are_told(spoil, tmp_path):
    message = spoil(_write(tmp_path))
    with pytest.raises(errors.InputError, match=message):
        _maps(tmp_path)


def test_classes_alone(tmp_path):
    _write(tmp_path)
    with pytest.raises(errors.InputError, match=r'semantic_train2017 has no \*.png with the category id'):
        _maps(tmp_path, semantic_only=True)
    _save(
        tmp_path / 'annotations/semantic_train2017/000000000009.png',
        np.array([[1, 1, 187, 187], [1, 1, 0, 255]]),
    )
    panoptic = _maps(tmp_path, semantic_only=True)['000000000009']
    np.testing.assert_array_equal(panoptic, [[256, 256, SKY * 256, SKY * 256], [256, 256, 0, 0]])


def test_classes_alone_in_a_palette_image(tmp_path):
    _write(tmp_path)
    image = Image.fromarray(np.array([[1, 1, 187, 187], [1, 1, 0, 0]], np.uint8), 'P')
    image.putpalette([7] * 768)
    folder = tmp_path / 'annotations/semantic_train2017'
    folder.mkdir()
    image.save(folder / '000000000009.png')
    assert _maps(tmp_path, semantic_only=True)['000000000009'][0].tolist() == [256, 256, SKY * 256, SKY * 256]
    image.putdata([2, 1, 187, 187, 1, 1, 12, 0])
    image.save(folder / '000000000009.png')
    with pytest.raises(errors.InputError, match='holds the number 12, which is no class'):
        _maps(tmp_path, semantic_only=True)


def test_ade20k_is_laid_out_otherwise(tmp_path):
    spec = datasets.find('ade20k_panoptic')
    colors = np.array([[1, 2, 2, 3]])
    _save(tmp_path / 'images/validation/ADE_val_00000001.jpg', np.zeros((1, 4, 3)))
    _save(
        tmp_path / 'ade20k_panoptic_val/ADE_val_00000001.png', np.stack([colors, 0 * colors, 0 * colors], -1)
    )
    # The wall (official class 0), a bed, and what is to be ignored; areas are not reliable there.
    segments = [{'id': i, 'category_id': c, 'area': 9} for i, c in ((1, 0), (2, 7), (3, 255))]
    annotation = {'file_name': 'ADE_val_00000001.png', 'segments_info': segments}
    (tmp_path / 'ade20k_panoptic_val.json').write_text(json.dumps({'annotations': [annotation]}))
    (entry,) = ade20k.list_images(tmp_path, 'val', spec)
    np.testing.assert_array_equal(entries.load(entry).panoptic, [[1000, 8001, 8001, 0]])
    with pytest.raises(
        errors.InputError, match=r'not laid out like ADE20K: expected images/training/\*\.jpg'
    ):
        ade20k.list_images(tmp_path, 'train', spec)


def test_ade20k_classes_alone(tmp_path):
    spec = datasets.find('ade20k_panoptic')
    _save(tmp_path / 'images/validation/ADE_val_00000001.jpg', np.zeros((1, 4, 3)))
    with pytest.raises(errors.InputError, match=r'has images but no annotations/validation/\*.png'):
        ade20k.list_images(tmp_path, 'val', spec, semantic_only=True)
    _save(tmp_path / 'annotations/validation/ADE_val_00000001.png', np.array([[1, 8, 150, 0]]))
    (entry,) = ade20k.list_images(tmp_path, 'val', spec, semantic_only=True)
    np.testing.assert_array_equal(entries.load(entry).panoptic, [[1000, 8000, 150000, 0]])
