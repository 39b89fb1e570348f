# SPDX-License-Identifier: Apache-2.0
"""Cityscapes: id maps and panoptic JSON say the same, and what is wrong is told before any work."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import shared
import synthetic
from panpipe.model import datasets, errors
from panpipe.pipelines.sources import cityscapes, entries

SPEC = datasets.find('cityscapes_panoptic')


def _maps(root, split='train', **options):
    found = cityscapes.list_images(root, split, SPEC, **options)
    return {entry.image_id: entries.load(entry).panoptic for entry in found}


def _write(root, ids, split='train'):
    """Writes one image with an id map."""
    for name, pixels in (
        (f'leftImg8bit/{split}/ulm/ulm_000000_000019_leftImg8bit.png', np.zeros((*ids.shape, 3), np.uint8)),
        (f'gtFine/{split}/ulm/ulm_000000_000019_gtFine_instanceIds.png', ids.astype(np.uint16)),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture
def root(tmp_path):
    return synthetic.toy(tmp_path, images=3)


def test_every_id_maps_as_specified(tmp_path):
    ids = np.array([[7, 0, 1, 26, 26003], [26001, 26001, 24, 24005, 29001], [10, 23, 33000, 9, 15]])
    expected = [
        [0, 255000, 255000, 13000, 13002],
        [13001, 13001, 11000, 11001, 255000],
        [255000, 10000, 18001, 255000, 255000],
    ]
    panoptic = _maps(_write(tmp_path, ids))['ulm_000000_000019']
    assert panoptic.dtype == np.int32
    np.testing.assert_array_equal(panoptic, expected)
    ignored = _maps(tmp_path, treat_crowd_as_ignore=True)['ulm_000000_000019']
    np.testing.assert_array_equal(ignored, np.where(np.isin(ids, (24, 26)), 255000, expected))


def test_every_evaluated_label_has_its_class(tmp_path):
    official = [category.official_id for category in SPEC.categories]
    panoptic = _maps(_write(tmp_path, np.arange(34)[None]))['ulm_000000_000019'][0]
    assert {i: p // 1000 for i, p in enumerate(panoptic.tolist()) if p != 255000} == {
        official_id: class_id for class_id, official_id in enumerate(official)
    }


def test_all_three_sources_agree(root):
    by_ids = _maps(root)
    assert len(by_ids) == 3
    assert all((panoptic % 1000).any() for panoptic in by_ids.values())
    for path in root.rglob('*_instanceIds.png'):
        path.unlink()
    kinds = {type(entry.label) for entry in cityscapes.list_images(root, 'train', SPEC)}
    assert kinds == {entries.PanopticPng}
    by_train_ids = _maps(root)
    (root / 'gtFine/cityscapes_panoptic_train_trainId.json').unlink()
    by_label_ids = _maps(root)
    for image_id, panoptic in by_ids.items():
        np.testing.assert_array_equal(by_train_ids[image_id], panoptic)
        np.testing.assert_array_equal(by_label_ids[image_id], panoptic)


def test_images_are_sorted_by_path_and_kept_byte_for_byte(root):
    found = cityscapes.list_images(root, 'train', SPEC)
    assert [entry.image_id for entry in found] == [f'toytown_{i:06d}_000019' for i in range(3)]
    record = entries.load(found[0])
    path = root / 'leftImg8bit/train/toytown/toytown_000000_000019_leftImg8bit.png'
    assert record.encoded == path.read_bytes()
    assert (record.format, record.height, record.width) == ('png', 64, 128)


def test_the_real_sample():
    root = shared.sample('cityscapes_like')
    (panoptic,) = _maps(root, 'val').values()
    ids, areas = np.unique(panoptic, return_counts=True)
    told = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    (annotation,) = json.loads((root / 'gtFine/cityscapes_panoptic_val_trainId.json').read_text())[
        'annotations'
    ]
    cars = [s['area'] for s in annotation['segments_info'] if s['category_id'] == 13 and not s['iscrowd']]
    assert [told[13001 + k] for k in range(5)] == cars
    assert told[13000] == 6178
    assert told[255000] == 571
    assert {2000, 8000, 10000, 0} < set(told)


def test_the_test_split_has_no_labels(root):
    (root / 'leftImg8bit/train').rename(root / 'leftImg8bit/test')
    (root / 'gtFine/train').rename(root / 'gtFine/test')
    assert set(_maps(root, 'test').values()) == {None}


def test_images_can_be_listed_without_labels(root):
    shutil.rmtree(root / 'gtFine')
    assert set(_maps(root, with_labels=False).values()) == {None}


def _no_labels(root):
    shutil.rmtree(root / 'gtFine')
    return 'has images but no annotations of train: expected gtFine/train/CITY'


def _one_label_less(root):
    next(root.rglob('*000001_000019_gtFine_instanceIds.png')).unlink()
    return '1 of 3 images have no toytown_000001_000019_gtFine_instanceIds.png'


def _no_images(root):
    shutil.rmtree(root / 'leftImg8bit/train')
    return r'leftImg8bit has no images of train \(it holds val\); choose other --splits'


def _no_folder(root):
    shutil.rmtree(root)
    return 'is not a folder; give the root of the raw data set'


def _coco(root):
    (root / 'leftImg8bit').rename(root / 'annotations')
    return 'looks like COCO, not like Cityscapes .*; try --dataset coco_panoptic'


def _something_else(root):
    (root / 'leftImg8bit').rename(root / 'photos')
    return 'is not laid out like Cityscapes: expected .*, but it holds gtFine, photos$'


@pytest.mark.parametrize(
    'spoil', [_no_labels, _one_label_less, _no_images, _no_folder, _coco, _something_else]
)
def test_wrong_folders_are_told(root, spoil):
    message = spoil(root)
    with pytest.raises(errors.InputError, match=message):
        cityscapes.list_images(root, 'train', SPEC)


def test_too_many_instances_are_told(tmp_path):
    ids = 26000 + np.arange(1000).reshape(20, 50)
    with pytest.raises(errors.InputError, match='class 13 has 1000 instances, but label_divisor 1000 leaves'):
        _maps(_write(tmp_path, ids))
    assert _maps(_write(tmp_path, ids.clip(max=26998)))['ulm_000000_000019'].max() == 13999


def test_label_of_another_size_is_told(tmp_path):
    _write(tmp_path, np.full((4, 6), 7))
    path = next(tmp_path.rglob('*_leftImg8bit.png'))
    Image.new('RGB', (6, 5)).save(path)
    with pytest.raises(errors.InputError, match=r'is 4 x 6 \(height x width\), but its image .* is 5 x 6'):
        _maps(tmp_path)


def test_label_of_another_kind_is_told(tmp_path):
    _write(tmp_path, np.full((4, 6), 7))
    Image.new('RGB', (6, 4)).save(next(tmp_path.rglob('*_instanceIds.png')))
    with pytest.raises(errors.InputError, match='is a label image of mode RGB, not I;16'):
        _maps(tmp_path)


def test_a_truncated_label_is_told(root):
    path = next(root.rglob('*train*/*/*000000_000019_gtFine_instanceIds.png'), None) or next(
        (root / 'gtFine/train').rglob('*_instanceIds.png')
    )
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(errors.InputError, match=rf'{path.name} cannot be decoded'):
        _maps(root)


def _without_instances(root):
    """Leaves the maps of classes alone, and returns the classes that went with the instances."""
    panoptic = _maps(root)
    for path in (root / 'gtFine').iterdir():
        if path.name.startswith('cityscapes_panoptic'):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in root.rglob('*_instanceIds.png'):
        path.unlink()
    return {image_id: ids // 1000 * 1000 for image_id, ids in panoptic.items()}


def test_classes_alone_by_label_id_and_by_train_id(root):
    expected = _without_instances(root)
    by_label_id = _maps(root, semantic_only=True)
    for path in root.rglob('*_labelIds.png'):
        path.unlink()
    by_train_id = _maps(root, semantic_only=True)
    for image_id, classes in expected.items():
        assert by_label_id[image_id].dtype == np.int32
        np.testing.assert_array_equal(by_label_id[image_id], classes)
        np.testing.assert_array_equal(by_train_id[image_id], classes)


def test_every_label_that_is_not_evaluated_is_void(tmp_path):
    root = _write(tmp_path, np.zeros((1, 34)))
    labels = np.array([range(34)], np.uint8)
    Image.fromarray(labels).save(root / 'gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png')
    (panoptic,) = _maps(root, semantic_only=True)['ulm_000000_000019']
    expected = [255000] * 34
    for category in SPEC.categories:
        expected[category.official_id] = category.id * 1000
    assert panoptic.tolist() == expected


def test_classes_alone_must_be_asked_for(root):
    _without_instances(root)
    with pytest.raises(
        errors.InputError, match=r'or take the classes of \*_gtFine_labelIds.png alone with --sem'
    ):
        _maps(root)


def test_missing_classes_are_told(root):
    for path in root.rglob('*_label*Ids.png'):
        path.unlink()
    with pytest.raises(errors.InputError, match=r'expected gtFine/train/CITY/\*_gtFine_labelIds.png or '):
        _maps(root, semantic_only=True)


def test_a_number_that_is_no_class_is_told(root):
    for path in root.rglob('*_labelIds.png'):
        path.unlink()
    path = next((root / 'gtFine/train').rglob('*_labelTrainIds.png'))
    Image.fromarray(np.full((64, 128), 19, np.uint8)).save(path)
    with pytest.raises(errors.InputError, match='holds the number 19, which is no class of the data set'):
        _maps(root, semantic_only=True)
