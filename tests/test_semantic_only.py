# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation alone, from label maps without instances to a score, on toy scenes."""

import json
import shutil
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import experiments
import synthetic
from panpipe.model import datasets, export, train
from panpipe.model.training import run_folder
from panpipe.pipelines import convert, predict, score, statistics

_SPEC = datasets.SPECS['cityscapes_panoptic']
_LOSSES = 'trainer_options.loss_options'
_NETWORKS = {
    'panoptic_deeplab': ['model_options.panoptic_deeplab.instance.enable=false'],
    'deeplab_v3': ['model_options.panoptic_deeplab=', 'model_options.deeplab_v3.num_classes=19'],
    'deeplab_v3_plus': [
        'model_options.panoptic_deeplab=',
        'model_options.deeplab_v3_plus.num_classes=19',
        'model_options.deeplab_v3_plus.low_level.feature_key=res2',
        'model_options.deeplab_v3_plus.low_level.channels_project=48',
    ],
}


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    """A data set as of Cityscapes, of which only images and label ids are there."""
    root = synthetic.toy(tmp_path_factory.mktemp('raw'))
    for path in (root / 'gtFine').iterdir():
        if path.name.startswith('cityscapes_panoptic'):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (root / 'gtFine').rglob('*.png'):
        if not path.name.endswith('_labelIds.png'):
            path.unlink()
    return root


@pytest.fixture(scope='module')
def records(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp('records')
    arguments = ['--dataset', 'cityscapes_panoptic', '--input', str(raw), '--output', str(output)]
    assert convert.main([*arguments, '--semantic_only', '--num_shards=1']) == 0
    return output


def _settings(records, architecture):
    entries = [
        *experiments.overrides(f'{records}/train-*.tfrecord', 2),
        f'eval_dataset_options.file_pattern={records}/val-*.tfrecord',
        *_NETWORKS[architecture],
        f'{_LOSSES}.center_loss=',
        f'{_LOSSES}.regression_loss=',
    ]
    return ['--config', str(experiments.CONFIG), *(f'--set={entry}' for entry in entries)]


def _tags(folder):
    found = set()
    for path in folder.glob('events*'):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                found |= {value.tag for value in event.summary.value}
    return found


def _trained(records, folder, architecture):
    settings = _settings(records, architecture)
    arguments = [*settings, '--set=experiment_name=run', '--model_dir', str(folder)]
    assert train.main([*arguments, '--mode', 'train_and_eval']) == 0
    return settings, folder / 'run'


@pytest.mark.slow
def test_from_label_maps_to_a_score(raw, records, tmp_path):
    settings, run = _trained(records, tmp_path, 'panoptic_deeplab')
    evaluation = json.loads((run / 'evaluation.json').read_text())
    assert all(evaluation[measure]['all'] is None for measure in ('pq', 'sq', 'rq'))
    assert set(evaluation['losses']) == {'semantic', 'total'}
    assert json.loads((run / run_folder.BEST).read_text()) == evaluation
    tags = _tags(run / 'eval')
    assert 'evaluation/iou/IoU' in tags
    assert not [tag for tag in tags if '/pq/' in tag or 'center' in tag or 'regression' in tag]

    exported, predictions = tmp_path / 'exported', tmp_path / 'predictions'
    assert export.main([*settings, '--checkpoint', str(run), '--output', str(exported)]) == 0
    source = ['--input', f'{records}/val-*.tfrecord', '--output', str(predictions)]
    assert predict.main(['--saved_model', str(exported), *source]) == 0
    assert [path.name for path in predictions.iterdir()] == ['semantic']
    official = {category.official_id for category in _SPEC.categories}
    (path,) = (predictions / 'semantic').iterdir()
    assert set(np.unique(np.asarray(Image.open(path))).tolist()) <= official

    output = tmp_path / 'score.json'
    places = ['--predictions', str(predictions), '--ground_truth', str(raw), '--output', str(output)]
    assert score.main(['--format', 'cityscapes', *places]) == 0
    found = json.loads(output.read_text())
    assert found['miou'] == pytest.approx(evaluation['miou'], abs=1e-6)
    assert not any(found.get('pq', {}).values())


def test_a_panoptic_network_and_a_semantic_one_are_told_apart_in_statistics(records, tmp_path, capsys):
    arguments = [
        '--dataset',
        'cityscapes_panoptic',
        '--input',
        f'{records}/train-*',
        '--output',
        str(tmp_path),
    ]
    assert statistics.main(arguments) == 0
    assert 'semantic-only: train' in capsys.readouterr().out
    assert json.loads((tmp_path / 'statistics.json').read_text())['instances']['total'] == 0


@pytest.mark.slow
@pytest.mark.parametrize('architecture', ['deeplab_v3', 'deeplab_v3_plus'])
def test_other_architectures_train_and_serve(records, tmp_path, architecture):
    settings, run = _trained(records, tmp_path, architecture)
    assert json.loads((run / 'evaluation.json').read_text())['pq']['all'] is None
    exported = tmp_path / 'exported'
    assert export.main([*settings, '--checkpoint', str(run), '--output', str(exported)]) == 0
    source = ['--input', f'{records}/val-*.tfrecord', '--output', str(tmp_path / 'predictions')]
    assert predict.main(['--saved_model', str(exported), *source]) == 0
    assert len(list((tmp_path / 'predictions/semantic').iterdir())) == 1
