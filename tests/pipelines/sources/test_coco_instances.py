# SPDX-License-Identifier: Apache-2.0
"""Instance files of the COCO form, as annotation tools export them: records hold what was drawn."""

import json

import numpy as np
import pytest

import judged
import yards
from panpipe.model import datasets, errors
from panpipe.pipelines import sources

SIZE = yards.HEIGHT, yards.WIDTH
SOIL, FENCE, CART, CRATE = 3, 5, 9, 12  # categories of a yard, whose classes are 0 to 3
VOID = 255000


@pytest.fixture
def yard(tmp_path):
    """Writes a yard as instances alone."""
    found = yards.Yard(tmp_path / 'yard').add_classes().add_instances()
    found.panoptic.unlink()
    _describe(found, layout='coco_instances')
    return found


def _describe(yard, **changes):
    yard.edit(lambda content: content.update(changes), yard.dataset)


def _read(yard, **options):
    spec = datasets.find(str(yard.dataset))
    found = sources.module(spec).list_images(yard.root, 'val', spec, **options)
    return [entry.label.read().panoptic for entry in found], found


def _drawn(yard, *annotations):
    """Reads the first image with these annotations instead of its own."""

    def change(content):
        content['annotations'] = [{'id': n, 'image_id': 1, **one} for n, one in enumerate(annotations)]

    yard.edit(change, yard.instances)
    return _read(yard)[0][0]


def _box(category, top, left, height, width, **more):
    corners = [left, top, left + width, top, left + width, top + height, left, top + height]
    return {'category_id': category, 'segmentation': [corners], 'iscrowd': 0, **more}


def _without_classes(yard):
    for path in (yard.root / 'annotations/semantic_val').iterdir():
        path.unlink()
    (yard.root / 'annotations/semantic_val').rmdir()


def test_the_whole_way(yard, tmp_path):
    """Instances over maps of classes say what the panoptic file of the same yard says."""
    panoptic = yards.Yard(tmp_path / 'panoptic')
    expected = judged.converted(tmp_path / 'a', panoptic.root, panoptic.dataset)
    found = judged.converted(tmp_path / 'b', yard.root, yard.dataset)
    assert list(found) == ['im1', 'im2']
    for name, record in found.items():
        np.testing.assert_array_equal(record.panoptic, expected[name].panoptic)
        assert record.official_id == expected[name].official_id
    folder = judged.predicted(tmp_path, found, yard.dataset)
    score = judged.scored(folder, yard.root, yard.dataset, '--dataset', yard.dataset)
    assert (score['pq']['all'], score['instance']['ap']) == pytest.approx((100, 100))
    for truth in (yard.root, tmp_path / 'b/records/val*'):
        assert judged.evaluated(folder, truth, yard.dataset)['pq'] == pytest.approx(score['pq'])


def test_pixels_of_nothing_are_void_or_background(yard):
    _without_classes(yard)
    (first, _), _ = _read(yard)
    assert set(np.unique(first).tolist()) == {2001, 3001, VOID}
    _describe(yard, background=SOIL)
    (same, _), _ = _read(yard)
    np.testing.assert_array_equal(same, np.where(first == VOID, 0, first))


def test_things_of_the_map_without_instances_are_crowd(yard):
    panoptic = _drawn(yard, _box(CRATE, 40, 0, 4, 4))
    assert set(np.unique(panoptic).tolist()) == {0, 1000, 2000, 3000, 3001, VOID}
    (ignored, _), _ = _read(yard, treat_crowd_as_ignore=True)
    assert set(np.unique(ignored).tolist()) == {0, 1000, 3001, VOID}


def test_semantic_only_tells_nothing_apart(yard):
    (first, _), _ = _read(yard)
    (flat, _), _ = _read(yard, semantic_only=True)
    np.testing.assert_array_equal(flat, first // 1000 * 1000)


@pytest.mark.parametrize(
    ('overlap', 'when_small_is_first'), [('smaller_first', 2001), ('annotation_order', 2002)]
)
def test_overlaps_are_settled_as_the_description_says(yard, overlap, when_small_is_first):
    """A small cart lies on a large one and is listed after it, or before it."""
    _without_classes(yard)
    _describe(yard, overlap=overlap)
    small, large = _box(CART, 10, 10, 4, 4), _box(CART, 8, 8, 20, 20)
    later, earlier = _drawn(yard, large, small), _drawn(yard, small, large)
    assert [later[9, 9], later[11, 11], earlier[11, 11]] == [2001, 2002, when_small_is_first]


def test_layers_are_stuff_then_crowd_then_things(yard):
    _without_classes(yard)
    boxes = [_box(CART, 10, 10, 4, 4), _box(CART, 8, 8, 9, 9, iscrowd=1), _box(FENCE, 0, 0, 30, 30)]
    for order in (boxes, boxes[::-1]):
        panoptic = _drawn(yard, *order)
        assert [panoptic[11, 11], panoptic[9, 9], panoptic[2, 2], panoptic[40, 40]] == [
            2001,
            2000,
            1000,
            VOID,
        ]


def test_an_overlap_is_an_error_unless_settled(yard):
    for told in ({}, {'overlap': 'error'}):
        _describe(yard, **told)
        with pytest.raises(
            errors.InputError, match='annotations 0 and 1 share 4 pixels; say in the description'
        ):
            _drawn(yard, _box(CART, 10, 10, 4, 4), _box(CRATE, 12, 12, 9, 9))


def test_crowds_may_overlap_one_another(yard):
    _drawn(yard, _box(CART, 10, 10, 4, 4, iscrowd=1), _box(CART, 12, 12, 9, 9, iscrowd=1))


# What tools export: the data are the same.
def _no_iscrowd(content, yard):
    for one in content['annotations']:
        del one['iscrowd']


def _float_sizes(content, yard):
    for one in content['images']:
        one['height'], one['width'] = float(one['height']), float(one['width'])


def _ids_from_zero(content, yard):
    for one in content['images']:
        one['id'] -= 1
    for one in content['annotations']:
        one['id'], one['image_id'] = one['id'] - 1, one['image_id'] - 1


def _paths_of_the_tool(content, yard):
    for one in content['images']:
        one['file_name'] = f'..\\media\\upload\\1\\{one["file_name"]}'


def _sub_folders(content, yard):
    for one in content['images']:
        place = yard.root / 'val' / 'batch' / one['file_name']
        place.parent.mkdir(exist_ok=True)
        (yard.root / 'val' / one['file_name']).rename(place)
        one['file_name'] = f'batch/{one["file_name"]}'


def _run_lists(content, yard):
    for one in content['annotations'][::2]:
        one['segmentation'] = yards.run_list(one['segmentation'])


def _polygons(content, yard):
    for one in content['annotations'][1::2]:
        left, top, width, height = yards.box(one['segmentation'])
        one['segmentation'] = _box(1, top, left, height, width)['segmentation']


def _folders_of_the_tool(content, yard):
    (yard.root / 'images').mkdir()
    (yard.root / 'val').rename(yard.root / 'images/val')


def _other_categories(content, yard):
    content['categories'].insert(0, {'id': 0, 'name': '_background_', 'supercategory': None})


def _boxes_without_masks(content, yard):
    more = [{'segmentation': given, 'bbox': [1, 2, 3, 4]} for given in ([], [[]], None)]
    content['annotations'] += [
        {'id': 90 + n, 'image_id': 1, 'category_id': CART, 'iscrowd': 0, **one} for n, one in enumerate(more)
    ]


QUIRKS = (
    *(_no_iscrowd, _float_sizes, _ids_from_zero, _paths_of_the_tool, _sub_folders, _run_lists, _polygons),
    *(_folders_of_the_tool, _other_categories, _boxes_without_masks),
)


@pytest.mark.parametrize('quirk', QUIRKS)
def test_exports_of_tools_say_the_same(yard, quirk):
    expected, _ = _read(yard)
    yard.edit(lambda content: quirk(content, yard), yard.instances)
    found, listed = _read(yard)
    np.testing.assert_array_equal(found, expected)
    unmasked = listed.left_out.get('annotation without mask', ())
    assert len(unmasked) == (3 if quirk is _boxes_without_masks else 0)


def test_scores_survive_annotations_without_masks(yard, tmp_path):
    found = judged.converted(tmp_path, yard.root, yard.dataset)
    yard.edit(lambda content: _boxes_without_masks(content, yard), yard.instances)
    folder = judged.predicted(tmp_path, found, yard.dataset)
    assert judged.scored(folder, yard.root, yard.dataset, '--dataset', yard.dataset)['instance']['ap'] == 100


def test_images_of_other_places_are_left_out(yard):
    yards.save(yard.root / 'val/deeper/x.png', np.zeros((2, 2, 3), np.uint8))
    yard.image(1).unlink()
    _, listed = _read(yard)
    assert [entry.image_id for entry in listed] == ['im1']
    assert listed.left_out == {
        'annotated image without file': ['im2.jpg'],
        'image in a sub-folder': ['deeper/x.png'],
    }


def _change(**fields):
    def spoil(content):
        content['annotations'][0].update(fields)

    return spoil


def _drop_image(content):
    del content['images'][0]


def _drop_size(content):
    del content['images'][0]['height']


def _unlisted_image(content):
    del content['images'][1]
    content['annotations'] = [one for one in content['annotations'] if one['image_id'] == 1]


def _rename_category(content):
    content['categories'][0]['name'] = 'crate'


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (
            _change(category_id=77),
            r'im1\.jpg: annotation 1 is of category 77, which the data set does not have',
        ),
        (_change(category_id='cart'), 'category_id of the annotation .* must be a whole number'),
        (_change(iscrowd=2), 'iscrowd of the annotation .* must be 0 or 1'),
        (_change(image_id=[1]), 'image_id of the annotation .* must be .* a text'),
        (_change(segmentation=[[1, 2, 3, 4]]), 'segmentation of annotation 1 must be polygons of 6 numbers'),
        (_change(segmentation='mask.png'), 'segmentation of annotation 1 must be polygons of 6 numbers'),
        (_change(segmentation={'size': [1, 2], 'counts': [2]}), r'of the size of its image, \[48, 64\]'),
        (_drop_image, 'annotation 1 is of the image 1, which the file does not list'),
        (_drop_size, 'the image 1 has no height and width; add them'),
        (_unlisted_image, r'does not list the image .*im2\.jpg; add it, or take the image away'),
        (
            _rename_category,
            "category 9 is 'crate', which has the number 12 in the description of the data set",
        ),
        (lambda content: content.pop('images'), 'is not an instance JSON file of the COCO form'),
    ],
)
def test_wrong_files_are_told(yard, spoil, words):
    yard.edit(spoil, yard.instances)
    with pytest.raises(errors.InputError, match=rf'instances_val\.json.*{words}'):
        _read(yard)


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        ('annotations/instances_val.json', r'instances_val\.json is missing; put the instance file'),
        (
            'val',
            r'has no images of val: expected SPLIT/\*\.jpg with annotations/instances_SPLIT\.json, but it',
        ),
        ('annotations/semantic_val/im1.png', r'1 of 2 images have no im1\.png'),
    ],
)
def test_what_is_missing_is_told(yard, spoil, words):
    (yard.root / spoil).rename(yard.root.with_name('away'))
    with pytest.raises(errors.InputError, match=words):
        _read(yard)


def test_a_map_of_another_size_is_told(yard):
    yards.save(yard.root / 'annotations/semantic_val/im1.png', np.full((3, 4), SOIL, np.uint8))
    with pytest.raises(errors.InputError, match=r'im1\.png is 3 x 4 .* says 48 x 64; annotate the image'):
        _read(yard)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (
            {'overlap': 'larger_first'},
            "overlap is 'larger_first'; it must be one of smaller_first, annotation",
        ),
        ({'background': CART}, 'background is 9; it must be the official_id of a stuff class'),
        ({'background': 'soil'}, "background is 'soil', not a whole number"),
    ],
)
def test_wrong_descriptions_are_told(yard, changes, words):
    _describe(yard, **changes)
    with pytest.raises(errors.InputError, match=words):
        datasets.find(str(yard.dataset))


def test_what_is_painted_over_what_is_kept_with_records(yard, tmp_path):
    _describe(yard, overlap='smaller_first', background=SOIL)
    judged.converted(tmp_path, yard.root, yard.dataset)
    kept = json.loads((tmp_path / 'records/manifest.json').read_text())['description']
    assert (kept['overlap'], kept['background']) == ('smaller_first', SOIL)
    assert datasets.find(str(tmp_path / 'records')).overlap == 'smaller_first'
