# SPDX-License-Identifier: Apache-2.0
"""Data sets as people bring them, spoilt or unusual: the right figures, or one line that says what to do."""

import json
import os
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import Image

import judged
import synthetic
import yards
from panpipe.pipelines import validate
from panpipe.pipelines.predictions import loading

CITYSCAPES = 'cityscapes_panoptic'


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard')


def _figures(tmp_path, root, dataset, *more):
    """Converts, and returns PQ and AP of the ground truth as a prediction, and the images."""
    found = judged.converted(tmp_path, root, dataset, 'val')
    assert found
    folder = judged.predicted(tmp_path, found, dataset)
    score = judged.scored(folder, root, dataset, *more)
    assert score['ours']['pq'] == pytest.approx(score['pq'])
    form = 'cityscapes' if dataset == CITYSCAPES else 'coco'
    named = [] if form == 'cityscapes' else ['--dataset', str(dataset)]
    arguments = ['--format', form, '--predictions', str(folder), '--ground_truth', str(root), *named]
    assert validate.main(arguments) == 0
    return score['pq']['all'], score['instance'].get('ap'), sorted(found)


def _error(capsys):
    lines = capsys.readouterr().err.splitlines()
    return next(line for line in lines if ': error: ' in line)


def _save_again(change):
    def spoil(yard):
        path = yard.png('im1.png')
        change(Image.open(path)).save(path, 'PNG')

    return spoil


def _palette(image):
    ids = np.asarray(image)
    distinct, index = np.unique(ids.reshape(-1, 3), axis=0, return_inverse=True)
    found = Image.fromarray(index.reshape(ids.shape[:2]).astype(np.uint8), 'P')
    found.putpalette(distinct.ravel().tolist())
    return found


def _subfolders(yard):
    for folder in (yard.root / yard.split, yard.png('')):
        (folder / 'batch').mkdir()
    yard.image(1).rename(yard.root / yard.split / 'batch/im2.jpg')
    yard.png('im2.png').rename(yard.png('batch/im2.png'))

    def change(content):
        content['images'][1]['file_name'] = 'batch\\im2.jpg'
        content['annotations'][1]['file_name'] = 'batch/im2.png'

    yard.edit(change)


def _suffix(yard):
    def change(content):
        for entry in content['annotations']:
            old = entry['file_name']
            entry['file_name'] = old.replace('.png', '_GT.png')
            yard.png(old).rename(yard.png(entry['file_name']))

    yard.edit(change)


def _mark(yard):
    for path in (yard.panoptic, yard.dataset):
        path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())


def _composed(yard):
    name = 'jardín.jpg'
    yard.image().rename(yard.root / yard.split / unicodedata.normalize('NFD', name))
    yard.edit(lambda content: content['images'][0].update(file_name=unicodedata.normalize('NFC', name)))


def _turn(yard, rotate):
    image = Image.open(yard.image())
    exif = Image.Exif()
    exif[0x0112] = 6
    (image.transpose(Image.Transpose.ROTATE_90) if rotate else image).save(yard.image(), exif=exif)


def _upper_case(yard):
    def change(content):
        for entry in (*content['images'], *content['annotations']):
            entry['file_name'] = entry['file_name'].upper()

    yard.edit(change)


def _link(yard):
    (yard.root / 'elsewhere').mkdir()
    moved = yard.image().rename(yard.root / 'elsewhere/im1.jpg')
    yard.image().symlink_to(moved)


def _linked_folder(yard):
    (yard.root / yard.split).rename(yard.root / 'photos')
    (yard.root / yard.split).symlink_to(yard.root / 'photos')


def _hidden(yard):
    folder = yard.root / yard.split / '.ipynb_checkpoints'
    folder.mkdir()
    shutil.copy(yard.image(), folder / 'im1-checkpoint.jpg')


@pytest.mark.parametrize(
    ('spoil', 'names'),
    [
        (_save_again(lambda image: image.convert('RGBA')), ['im1', 'im2']),
        (_save_again(_palette), ['im1', 'im2']),
        (_subfolders, ['batch/im2', 'im1']),
        (_suffix, ['im1', 'im2']),
        (_mark, ['im1', 'im2']),
        (_composed, ['im2', 'jardín']),
        (lambda yard: _turn(yard, rotate=True), ['im1', 'im2']),
        (lambda yard: _turn(yard, rotate=False), ['im1', 'im2']),
        (_upper_case, ['im1', 'im2']),
        (_link, ['im1', 'im2']),
        (_linked_folder, ['im1', 'im2']),
        (_hidden, ['im1', 'im2']),
    ],
)
def test_unusual_data_is_judged_right(tmp_path, yard, capsys, spoil, names):
    spoil(yard)
    assert _figures(tmp_path, yard.root, yard.dataset) == (100, pytest.approx(100), names)
    assert 'left out' not in capsys.readouterr().err


def test_other_image_formats_are_taken(tmp_path):
    yard = yards.Yard(tmp_path / 'yard', ('im1.tif', 'im2.bmp'))
    found = judged.converted(tmp_path, yard.root, yard.dataset)
    assert [record.format for record in found.values()] == ['png', 'png']


def test_names_that_are_one_number_keep_their_ids(tmp_path):
    yard = yards.Yard(tmp_path / 'yard', ('1.jpg', '01.jpg'))
    assert _figures(tmp_path, yard.root, yard.dataset) == (100, pytest.approx(100), ['01', '1'])
    content = json.loads((tmp_path / 'predictions/panoptic.json').read_text())
    assert {entry['file_name']: entry['image_id'] for entry in content['annotations']} == {
        '1.png': 1,
        '01.png': 2,
    }


def test_a_listed_segment_without_pixels_is_missed(tmp_path, yard):
    empty = {'id': 999, 'category_id': 9, 'area': 0, 'iscrowd': 0}
    yard.edit(lambda content: content['annotations'][0]['segments_info'].append(empty))
    # Of the carts two are found and one is not: RQ 2 / 2.5.
    assert _figures(tmp_path, yard.root, yard.dataset)[0] == pytest.approx((100 + 100 + 80 + 100) / 4)
    for truth in (yard.root, tmp_path / 'records/val*'):
        figures = judged.evaluated(tmp_path / 'predictions', truth, yard.dataset)
        assert figures['pq']['all'] == pytest.approx(95)
        assert figures['by_size']['small']['fn'] == 1


def _segment(**changes):
    return lambda yard: yard.edit(
        lambda content: content['annotations'][0]['segments_info'][0].update(changes)
    )


def _categories(key):
    return lambda yard: yard.edit(lambda content: [one.pop(key) for one in content['categories']])


def _unlisted_image(yard):
    yard.edit(lambda content: content['annotations'][0].update(image_id=44))


def _large_id(yard):
    yard.edit(lambda content: content['annotations'][0].update(image_id=2**63))


def _image_of_two_ids(yard):
    yard.edit(lambda content: content['images'].append({**content['images'][0], 'id': 44}))


def test_things_that_are_stuff_elsewhere_are_refused(tmp_path, yard, capsys):
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, yard.root, yard.dataset), yard.dataset)
    shutil.rmtree(tmp_path / 'records')
    yard.edit(lambda content: content['categories'][2].update(isthing=0))
    capsys.readouterr()
    for job in (
        lambda: judged.converted(tmp_path, yard.root, yard.dataset) == {},
        lambda: judged.evaluated(folder, yard.root, yard.dataset) is None,
        lambda: judged.scored(folder, yard.root, yard.dataset, '--dataset', yard.dataset) is None,
    ):
        assert job()
        assert 'category 9 has isthing 0, but is a thing in the d' in _error(capsys)


def test_categories_may_be_told_by_the_data_set(tmp_path, yard, capsys):
    _categories('isthing')(yard)
    found = judged.converted(tmp_path, yard.root, yard.dataset)
    folder = judged.predicted(tmp_path, found, yard.dataset)
    assert judged.scored(folder, yard.root, yard.dataset) is None
    assert 'category 3 has no isthing; add it, or name the data set: --dataset' in _error(capsys)
    assert judged.scored(folder, yard.root, yard.dataset, '--dataset', yard.dataset)['pq']['things'] == 100


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (_segment(area=150), 'area 150, '),
        (_segment(id=5), 'pixels name segment'),
        (_unlisted_image, 'has the image_id 44, which no entry of images has, such as 1; correct one'),
        (_large_id, 'must be a whole number of at most 63 bits, or a text'),
        (_image_of_two_ids, 'lists the file im1.jpg twice in images; keep one'),
        (_save_again(lambda image: image.convert('L')), 'mode L'),
    ],
)
def test_ground_truth_is_refused_by_all_jobs_alike(tmp_path, yard, capsys, spoil, words):
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, yard.root, yard.dataset), yard.dataset)
    shutil.rmtree(tmp_path / 'records')
    spoil(yard)
    capsys.readouterr()
    assert judged.converted(tmp_path, yard.root, yard.dataset) == {}
    assert words in _error(capsys)
    assert judged.scored(folder, yard.root, yard.dataset) is None
    assert words in _error(capsys)
    assert judged.evaluated(folder, yard.root, yard.dataset) is None
    assert words in _error(capsys)


def test_predictions_need_no_areas_and_may_begin_with_a_mark(tmp_path, yard):
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, yard.root, yard.dataset), yard.dataset)

    def change(content):
        for entry in content['annotations']:
            for segment in entry['segments_info']:
                del segment['area']

    yard.edit(change, folder / 'panoptic.json')
    for name in ('panoptic.json', 'instances.json'):
        (folder / name).write_bytes(b'\xef\xbb\xbf' + (folder / name).read_bytes())
    score = judged.scored(folder, yard.root, yard.dataset)
    assert score['pq']['all'] == score['ours']['pq']['all'] == 100
    assert score['instance']['ap'] == pytest.approx(100)
    arguments = ['--format', 'coco', '--dataset', str(yard.dataset), '--predictions', str(folder)]
    assert validate.main([*arguments, '--ground_truth', str(yard.root)]) == 0


def test_what_is_left_out_is_told_and_may_be_refused(tmp_path, yard, capsys):
    folder = yard.root / yard.split
    (folder / 'gone.jpg').symlink_to('nowhere.jpg')
    (folder / 'notes.txt').write_text('hello')
    (folder / 'more').mkdir()
    shutil.copy(yard.image(), folder / 'more/other.jpg')
    yard.image(1).unlink()
    assert list(judged.converted(tmp_path, yard.root, yard.dataset)) == ['im1']
    told = next(line for line in capsys.readouterr().err.splitlines() if 'left out' in line)
    for words in (
        '1 .txt (notes.txt)',
        '1 broken link (gone.jpg)',
        '1 image in a sub-folder (more/other.jpg)',
    ):
        assert words in told
    assert '1 annotation without image (im2.jpg)' in told
    shutil.rmtree(tmp_path / 'records')
    assert judged.converted(tmp_path, yard.root, yard.dataset, 'val', '--strict') == {}
    assert 'left out' in _error(capsys)


def test_large_images_are_taken_up_to_a_limit(tmp_path, yard, capsys, monkeypatch):
    monkeypatch.setenv('PANPIPE_MAX_MEGAPIXELS', '500')
    big = np.zeros((1500, 1000, 3), np.uint8)
    yards.save(yard.image(), big)
    yard.edit(lambda content: content['annotations'][0].update(segments_info=[]))
    yards.save(yard.png('im1.png'), big)
    assert judged.converted(tmp_path, yard.root, yard.dataset, 'val', '--max_megapixels', '1') == {}
    told = _error(capsys)
    assert 'has 1000 x 1500 pixels, more than 1 megapixels; make it smaller, or raise the limit' in told
    assert judged.converted(tmp_path, yard.root, yard.dataset, 'val', '--max_megapixels', '2')


@pytest.mark.skipif(os.name != 'posix', reason='file names are bytes only there')
def test_a_name_that_is_not_utf_8_is_told(tmp_path, yard, capsys):
    yard.image().rename(os.fsdecode(os.fsencode(yard.root / yard.split) + b'/im\xe9.jpg'))
    assert judged.converted(tmp_path, yard.root, yard.dataset) == {}
    assert r"a file whose name is not UTF-8, 'im\udce9.jpg'; rename it" in _error(capsys)


def _cityscapes(tmp_path):
    root = synthetic.toy(tmp_path, images=6)
    for path in root.glob('gtFine/cityscapes_panoptic_*'):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return (
        root,
        sorted(root.glob('gtFine/val/*/*_labelIds.png')),
        sorted(root.glob('gtFine/val/*/*_instanceIds.png')),
    )


def test_cityscapes_downloaded_in_part(tmp_path, capsys):
    root, _, maps = _cityscapes(tmp_path)
    next(root.glob('leftImg8bit/val/*/*.png')).unlink()
    pq, ap, names = _figures(tmp_path, root, CITYSCAPES)
    assert (pq, ap, len(names)) == (100, pytest.approx(100), len(maps) - 1)
    told = capsys.readouterr().err
    assert f'judges {len(names)} of {len(maps)} images of the ground truth' in told
    assert '1 annotation without image' in told


def test_cityscapes_names_with_spaces(tmp_path):
    root, *_ = _cityscapes(tmp_path)
    for path in [*root.glob('leftImg8bit/val/*/*'), *root.glob('gtFine/val/*/*')]:
        path.rename(path.with_name(path.name.replace('toyville', 'new town')))
    pq, ap, names = _figures(tmp_path, root, CITYSCAPES)
    assert (pq, ap) == (100, pytest.approx(100))
    assert all(name.startswith('new town_') for name in names)
    assert not list((tmp_path / 'predictions/instance/masks').glob('* *'))


def test_cityscapes_label_ids_with_a_palette(tmp_path):
    root, label_ids, _ = _cityscapes(tmp_path)
    image = Image.open(label_ids[0])
    found = Image.fromarray(np.asarray(image), 'P')
    found.putpalette(list(range(256)) * 3)
    found.save(label_ids[0])
    assert _figures(tmp_path, root, CITYSCAPES)[:2] == (100, pytest.approx(100))


def test_label_ids_that_are_train_ids_are_refused(tmp_path, capsys):
    root, label_ids, _ = _cityscapes(tmp_path)
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, root, CITYSCAPES), CITYSCAPES)
    for path in label_ids:
        shutil.copy(str(path).replace('_labelIds', '_labelTrainIds'), path)
    assert judged.scored(folder, root, CITYSCAPES) is None
    assert 'these look like train ids' in _error(capsys)


def test_label_ids_that_are_train_ids_are_no_classes(tmp_path, capsys):
    root, label_ids, _ = _cityscapes(tmp_path)
    assert judged.converted(tmp_path, root, CITYSCAPES, 'val', '--semantic_only')
    shutil.rmtree(tmp_path / 'records')
    for path in label_ids:
        shutil.copy(str(path).replace('_labelIds', '_labelTrainIds'), path)
    assert judged.converted(tmp_path, root, CITYSCAPES, 'val', '--semantic_only') == {}
    told = _error(capsys)
    assert f'{label_ids[0]} and the others of its split hold the numbers ' in told
    assert 'these look like train ids' in told


def _overwritten(paths, suffix):
    for path in paths:
        shutil.copy(str(path).replace('_instanceIds', suffix).replace('_labelIds', suffix), path)


def test_some_train_ids_among_label_ids_are_refused(tmp_path, capsys):
    root, label_ids, maps = _cityscapes(tmp_path)
    _overwritten(label_ids[:1], '_labelTrainIds')
    assert judged.converted(tmp_path, root, CITYSCAPES, 'val', '--semantic_only') == {}
    assert f'{label_ids[0]} holds the number 255, which is no class' in _error(capsys)
    shutil.rmtree(tmp_path / 'records')
    _overwritten(maps[:1], '_labelTrainIds')
    assert judged.converted(tmp_path, root, CITYSCAPES) == {}
    assert f'{maps[0]} holds the number 255, which Cityscapes does not have' in _error(capsys)


@pytest.mark.parametrize(
    ('suffix', 'words'),
    [
        ('_labelTrainIds', 'these look like train ids, not label ids'),
        ('_labelIds', 'hold no number from 1000 on, so no single thing: these look like label ids'),
    ],
)
def test_instance_ids_that_are_none_are_refused(tmp_path, capsys, suffix, words):
    root, _, maps = _cityscapes(tmp_path)
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, root, CITYSCAPES), CITYSCAPES)
    shutil.rmtree(tmp_path / 'records')
    _overwritten(maps, suffix)
    capsys.readouterr()
    assert judged.converted(tmp_path, root, CITYSCAPES) == {}
    assert words in _error(capsys)
    assert judged.scored(folder, root, CITYSCAPES) is None
    assert words in _error(capsys)


def _swap(content):
    names = [category['name'] for category in content['categories']]
    content['categories'][2]['name'], content['categories'][3]['name'] = names[3], names[2]


def test_categories_that_are_numbered_otherwise_are_refused(tmp_path, yard, capsys):
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, yard.root, yard.dataset), yard.dataset)
    shutil.rmtree(tmp_path / 'records')
    yard.edit(_swap, folder / 'panoptic.json')
    assert judged.evaluated(folder, yard.root, yard.dataset) is None
    told = _error(capsys)
    assert f"category 9 is 'crate', which has the number 12 in {yard.dataset}; both must" in told
    assert judged.scored(folder, yard.root, yard.dataset) is None
    assert f'which has the number 12 in {yard.panoptic}; both must' in _error(capsys)
    yard.edit(_swap)
    assert judged.converted(tmp_path, yard.root, yard.dataset) == {}
    assert 'which has the number 12 in the description of the data set' in _error(capsys)


@pytest.mark.parametrize('number', [40, 41003, 13001])
def test_unknown_numbers_in_instance_ids_are_refused(tmp_path, capsys, number):
    root, _, maps = _cityscapes(tmp_path)
    folder = judged.predicted(tmp_path, judged.converted(tmp_path, root, CITYSCAPES), CITYSCAPES)
    shutil.rmtree(tmp_path / 'records')
    pixels = np.array(Image.open(maps[0]))
    pixels[:4, :4] = number
    Image.fromarray(pixels).save(maps[0])
    for refused in (
        judged.converted(tmp_path, root, CITYSCAPES) == {},
        judged.scored(folder, root, CITYSCAPES) is None,
    ):
        assert refused
    told = _error(capsys)
    assert f'{maps[0]} holds the number {number}' in told


def test_names_too_long_for_predictions_are_told_before(tmp_path, capsys):
    Image.new('RGB', (8, 8)).save(tmp_path / f'{"x" * 240}.png')
    with pytest.raises(Exception, match='has 240 bytes; rename the image'):
        loading.check_name('x' * 240)
