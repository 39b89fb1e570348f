# SPDX-License-Identifier: Apache-2.0
"""The toy data set is what the official downloads are, small."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

import synthetic
from panpipe.model import datasets
from panpipe.pipelines import toy
from panpipe.pipelines.toy_street import scenes


def _digest(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.fixture(scope='module', params=['cityscapes_panoptic', 'coco_panoptic'])
def toy_set(request, tmp_path_factory):
    return request.param, synthetic.toy(tmp_path_factory.mktemp('toy'), request.param, images=4)


def test_same_seed_same_files(toy_set, tmp_path):
    dataset, root = toy_set
    assert _digest(synthetic.toy(tmp_path / 'a', dataset, images=4)) == _digest(root)
    assert _digest(synthetic.toy(tmp_path / 'b', dataset, images=4, seed=1)) != _digest(root)


def test_counts_and_sizes(toy_set):
    dataset, root = toy_set
    pattern = {'cityscapes_panoptic': 'leftImg8bit/{}/*/*.png', 'coco_panoptic': '{}2017/*.jpg'}[dataset]
    images = {split: sorted(root.glob(pattern.format(split))) for split in ('train', 'val')}
    assert {split: len(paths) for split, paths in images.items()} == {'train': 4, 'val': 1}
    for path in (*images['train'], *images['val']):
        assert Image.open(path).size == (128, 64)
        assert Image.open(path).mode == 'RGB'


def test_train_and_val_differ():
    train, val = (next(toy.draw_split(split, 1, (64, 128), 0)) for split in ('train', 'val'))
    assert (train.ids != val.ids).mean() > 0.1


def test_panoptic_json_agrees_with_its_pngs(toy_set):
    dataset, root = toy_set
    spec = datasets.find(dataset)
    paths = sorted(root.rglob('*panoptic_*.json'))
    assert len(paths) == {'cityscapes_panoptic': 4, 'coco_panoptic': 2}[dataset]
    for path in paths:
        content = json.loads(path.read_text())
        by_id = {category['id']: category for category in content['categories']}
        assert len(by_id) == len(spec.categories)
        for annotation in content['annotations']:
            rgb = np.asarray(Image.open(path.with_suffix('') / annotation['file_name'])).astype(np.int64)
            ids, areas = np.unique(rgb @ (1, 256, 65536), return_counts=True)
            told = {s['id']: s['area'] for s in annotation['segments_info']}
            assert {i: a for i, a in zip(ids.tolist(), areas.tolist(), strict=True) if i} == told
            for segment in annotation['segments_info']:
                category = by_id[segment['category_id']]
                assert not segment['iscrowd'] or category['isthing']
                left, top, width, height = segment['bbox']
                rows, columns = np.nonzero(rgb @ (1, 256, 65536) == segment['id'])
                assert (left, top) == (columns.min(), rows.min())
                assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())


def test_cityscapes_id_maps_agree(tmp_path):
    root = synthetic.toy(tmp_path)
    spec = datasets.find('cityscapes_panoptic')
    train_id = {c.official_id: c.id for c in spec.categories}
    for path in root.rglob('*_instanceIds.png'):
        ids, label_ids, train_ids = (
            np.asarray(Image.open(str(path).replace('instanceIds', name))).astype(int)
            for name in ('instanceIds', 'labelIds', 'labelTrainIds')
        )
        np.testing.assert_array_equal(np.where(ids < 1000, ids, ids // 1000), label_ids)
        np.testing.assert_array_equal(np.vectorize(lambda i: train_id.get(i, 255))(label_ids), train_ids)
        assert Image.open(path).mode == 'I;16'


def test_scenes_are_worth_learning():
    drawn = list(toy.draw_split('train', 24, (256, 512), 0))
    ids = [np.unique(scene.ids, return_counts=True) for scene in drawn]
    labels = [set(np.where(i < 1000, i, i // 1000).tolist()) for i, _ in ids]
    surfaces = {scenes.ROAD, scenes.SIDEWALK, scenes.BUILDING, scenes.VEGETATION, scenes.SKY}
    assert all(surfaces | {scenes.CAR, scenes.PERSON, scenes.EGO_VEHICLE} <= found for found in labels)
    assert 6 <= sum(scenes.BUS in found for found in labels) <= 20
    assert 4 <= sum(scenes.PERSON in i for i, _ in ids) <= 16
    instances = [(i >= 1000).sum() for i, _ in ids]
    assert 6 <= np.mean(instances) <= 12
    small = [a for i, areas in ids for a in areas[i >= 1000].tolist() if a < 150]
    assert len(small) <= 0.05 * sum(instances)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--images', '0'], '--images is 0; it must be at least 1'),
        (['--height', '16'], 'both must be at least 32'),
        (['--seed', '-1'], '--seed is -1'),
    ],
)
def test_wrong_numbers_are_told(arguments, message, tmp_path, capsys):
    output = tmp_path / 'toy'
    assert toy.main(['--dataset', 'coco_panoptic', '--output', str(output), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_nothing_is_overwritten(tmp_path, capsys):
    output = tmp_path / 'toy'
    output.mkdir()
    (output / 'thesis.txt').write_text('dear')
    assert toy.main(['--dataset', 'coco_panoptic', '--output', str(output)]) == 2
    assert 'exists and is not empty; remove it or choose another --output' in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob('*')] == ['toy', 'thesis.txt']


def test_an_empty_folder_is_taken(tmp_path, capsys):
    arguments = ['--dataset', 'coco_panoptic', '--images', '1', '--height', '32', '--width', '32']
    assert toy.main([*arguments, '--output', str(tmp_path)]) == 0
    assert (tmp_path / 'train2017').is_dir()
    with pytest.raises(SystemExit):
        toy.main(['--help'])
    assert 'must be empty if it exists' in ' '.join(capsys.readouterr().out.split())


def test_output_is_whole_or_absent(tmp_path, monkeypatch):
    def fail(generator, height, width):
        raise KeyboardInterrupt

    monkeypatch.setattr(scenes, 'draw', fail)
    with pytest.raises(KeyboardInterrupt):
        toy.main(['--dataset', 'coco_panoptic', '--output', str(tmp_path / 'toy')])
    assert list(tmp_path.iterdir()) == []
