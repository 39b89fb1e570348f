# SPDX-License-Identifier: Apache-2.0
"""Instance annotations as people bring them: as a prediction they have AP 100, or a line says why not."""

import json

import pytest

import yards
from panpipe.model import errors
from panpipe.pipelines.scoring import instance_ap, panoptic_files
from panpipe.pipelines.sources import documents, run_lengths


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard').add_instances()


def _judge(yard, detections=None):
    """Scores the instances of the panoptic annotation as a prediction."""
    document = documents.read(str(yard.panoptic))
    truth = panoptic_files.open_files(document, str(yard.panoptic.with_suffix('')), None)
    folder = yard.root / 'predictions'
    folder.mkdir()
    if detections is None:
        detections = _detections(yard)
    (folder / 'instances.json').write_text(json.dumps(detections))
    ids = {one.image_id: one for one in document.annotations}
    return instance_ap.coco(folder, yard.root, yard.split, truth, ids)


def _detections(yard):
    found = []
    for annotation in documents.read(str(yard.panoptic)).annotations:
        ids = yards.ids_of(yard.png(annotation.file_name))
        for segment in annotation.segments:
            if segment.category_id in (9, 12):
                rle = yards.coded(ids == segment.id)
                found.append(
                    {
                        'image_id': annotation.image_id,
                        'category_id': segment.category_id,
                        'segmentation': rle,
                        'score': 1.0,
                    }
                )
    return found


def _each(change):
    def edit(yard):
        yard.edit(lambda content: [change(one) for one in content['annotations']], yard.instances)

    return edit


def _all(change):
    return lambda yard: yard.edit(change, yard.instances)


def _more_images(content):
    for number in range(100, 108):
        content['images'].append({**content['images'][0], 'id': number, 'file_name': f'x{number}.jpg'})
        content['annotations'].append({**content['annotations'][0], 'id': number, 'image_id': number})


def _other_image_ids(content):
    for listed, key in ((content['images'], 'id'), (content['annotations'], 'image_id')):
        for one in listed:
            one[key] = 3 - one[key]


def _text_image_ids(content):
    for listed, key in ((content['images'], 'id'), (content['annotations'], 'image_id')):
        for one in listed:
            one[key] = f'photo {one[key]}'


def _other_category_ids(content):
    for listed, key in ((content['categories'], 'id'), (content['annotations'], 'category_id')):
        for one in listed:
            one[key] = {9: 12, 12: 9}[one[key]]


def _folders(content):
    for one in content['images']:
        one['file_name'] = f'val/{one["file_name"]}'


def _polygon(content):
    for one in content['annotations']:
        left, top, width, height = _box(one)
        right, bottom = left + width, top + height
        one['segmentation'] = [[left, top, right, top, right, bottom, left, bottom]]


def _box(annotation):
    return [int(value) for value in yards.box(annotation['segmentation'])]


def _lists(content):
    for one in content['annotations']:
        one['segmentation'] = yards.run_list(one['segmentation'])


def _stuff(content):
    content['categories'].append({'id': 5, 'name': 'fence'})
    content['annotations'].append({**content['annotations'][0], 'category_id': 5})


@pytest.mark.parametrize(
    ('spoil', 'told'),
    [
        (lambda yard: None, ''),
        (lambda yard: yard.instances.unlink(), ''),
        (_each(lambda one: one.pop('iscrowd')), ''),
        (_each(lambda one: one.update(iscrowd=None)), ''),
        (_each(lambda one: one.update(iscrowd=False)), ''),
        (_each(lambda one: one.pop('area')), ''),
        (_each(lambda one: one.pop('id')), ''),
        (_each(lambda one: one.update(id=one['id'] - 1)), ''),
        (_each(lambda one: one.update(id=7)), ''),
        (_all(lambda content: [one.pop('height') for one in content['images']]), ''),
        (_all(_more_images), 'left out: 8 images that are not judged'),
        (_all(_other_image_ids), ''),
        (_all(_text_image_ids), ''),
        (_all(_other_category_ids), ''),
        (_all(_folders), ''),
        (_all(_polygon), ''),
        (_all(_lists), ''),
        (_all(_stuff), 'left out: 1 annotations of stuff (fence)'),
    ],
)
def test_the_ground_truth_as_prediction_has_ap_100(yard, capsys, spoil, told):
    spoil(yard)
    found = _judge(yard)
    assert [found.ap, found.ap50, found.ap_small] == pytest.approx([100, 100, 100])
    assert set(found.per_class) == {'cart', 'crate'}
    shown = capsys.readouterr().err
    assert (told in shown) if told else (shown == '')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (
            _each(lambda one: one.update(segmentation=[])),
            r'segmentation of the annotation {"id": 1, .*polygons',
        ),
        (
            _each(lambda one: one.pop('segmentation')),
            'segmentation of the annotation .*run-length coded mask',
        ),
        (_each(lambda one: one.update(segmentation=[[1, 2, 3, 4]])), 'polygons of 6 numbers or more'),
        (_each(lambda one: one.update(segmentation=[[1, 2, 3, 4, 5, 'x']])), 'polygons of 6 numbers or more'),
        (_each(lambda one: one['segmentation'].update(size=[5, 5])), r'the size of its image, \[48, 64\]'),
        (_each(lambda one: one['segmentation'].update(counts='000')), 'run-length coded mask'),
        (_each(lambda one: one.update(area=-1)), 'area of the annotation .* must be a number from 0 on'),
        (_each(lambda one: one.update(area='big')), 'area of the annotation .* must be a number from 0 on'),
        (_each(lambda one: one.update(iscrowd=2)), 'iscrowd of the annotation .* must be 0 or 1'),
        (_each(lambda one: one.update(image_id=77)), 'must be the id of an image that the file lists'),
        (_each(lambda one: one.pop('category_id')), 'has no category_id; add it'),
        (
            _all(lambda c: c['categories'][0].update(name='wagon')),
            r'a thing of the panoptic file \(cart, crate',
        ),
        (
            _all(lambda c: c.pop('images')),
            'is not an instance JSON file of the COCO form .*no list of images',
        ),
        (
            _all(lambda c: [i.update(file_name=f'a{i["id"]}.jpg') for i in c['images']]),
            'lists none of the 2 judged',
        ),
        (_all(lambda c: c['images'].append(c['images'][0])), 'must be an id of its own'),
        (lambda yard: yard.instances.write_text('{'), 'is not an instance JSON file'),
    ],
)
def test_what_cannot_be_read_is_named(yard, spoil, message):
    spoil(yard)
    with pytest.raises(errors.InputError, match=message) as raised:
        _judge(yard)
    assert str(yard.instances) in str(raised.value)


def test_images_that_the_instance_file_lacks_are_not_judged(yard, capsys):
    def drop(content):
        content['images'].pop()
        content['annotations'] = [one for one in content['annotations'] if one['image_id'] == 1]

    yard.edit(drop, yard.instances)
    assert _judge(yard).ap == pytest.approx(100)
    assert '1 judged images that it does not list' in capsys.readouterr().err


def test_areas_that_are_told_decide_what_is_small(yard):
    _each(lambda one: one.update(area=100 * 100))(yard)
    found = _judge(yard)
    assert found.ap_large == pytest.approx(100)
    assert found.ap_small is None


def test_no_detection_scores_0(yard):
    assert _judge(yard, []).ap == 0


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'image_id': 99}, 'image_id of the detection .* image of panoptic.json'),
        ({'score': 'high'}, 'score of the detection'),
        ({'score': float('nan')}, 'score of the detection'),
        ({'segmentation': None}, 'must be a run-length coded mask'),
        ({'category_id': None}, 'category_id of the detection'),
    ],
)
def test_detections_are_checked(yard, change, message):
    with pytest.raises(errors.InputError, match=message):
        _judge(yard, [{**one, **change} for one in _detections(yard)])


def test_run_lengths_that_do_not_fit_are_no_mask():
    rle = yards.coded(yards.ids_of_box(5, 7))
    assert run_lengths.read(rle, *rle['size']) is not None
    for counts in ('', rle['counts'] + '1', rle['counts'][:-1], 'é', rle['counts'] + 'o'):
        assert run_lengths.read({**rle, 'counts': counts}, *rle['size']) is None
    assert run_lengths.read({'size': [2, 2], 'counts': [1, 3]}, 2, 2) is not None
    assert run_lengths.read({'size': [2, 2], 'counts': [1, -1, 4]}, 2, 2) is None
