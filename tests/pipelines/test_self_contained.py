# SPDX-License-Identifier: Apache-2.0
"""Records, models and runs keep the description of a custom data set: its file may move or go.

Data sets are compared by contents, not by how their paths are spelled; what differs is told in one line.
"""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import experiments
import judged
import small_statistics
import yards
from panpipe.components import checks
from panpipe.model import config, datasets, errors
from panpipe.model.inputs import pipeline
from panpipe.model.metrics import data_statistics, result_files
from panpipe.model.storage import descriptions, exported, manifest
from panpipe.model.training import run_folder
from panpipe.pipelines import convert, evaluate, predict, report, score, show, statistics, validate
from panpipe.pipelines.record_files import lookup


class Soil(tf.Module):
    """Predicts soil everywhere."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, 'image')])
    def serve_pixels(self, image):
        nothing = tf.zeros(tf.shape(image)[:2], tf.int32)
        none = tf.zeros([0], tf.int32)
        return {
            'panoptic': nothing,
            'semantic': nothing,
            'instance_ids': none,
            'instance_scores': tf.cast(none, tf.float32),
        }


@pytest.fixture
def yard(tmp_path, monkeypatch):
    """Makes a data set that is called by a relative path, as people do."""
    found = yards.Yard(tmp_path / 'yard').add_instances()
    monkeypatch.chdir(tmp_path)
    return found


def _convert(dataset, split='val', root='yard', output='records'):
    arguments = ['--input', str(root), '--output', str(output), '--splits', split]
    return convert.main(['--dataset', str(dataset), *arguments])


def _leave(yard, tmp_path, monkeypatch):
    """Takes the description away, and works elsewhere."""
    yard.dataset.unlink()
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')


def _error(capsys):
    return next(line for line in capsys.readouterr().err.splitlines() if ': error: ' in line)


def _renumbered(yard, path, **changes):
    """Describes the data set otherwise: carts and crates change places."""
    content = json.loads(yard.dataset.read_text()) | changes
    if not changes:
        content['categories'][2]['name'], content['categories'][3]['name'] = 'crate', 'cart'
    path.write_text(json.dumps(content))
    return path


def test_records_keep_the_description(yard, tmp_path, monkeypatch, capsys):
    assert _convert('yard/yard.json') == 0
    spec = datasets.find('yard/yard.json')
    folder = judged.predicted(tmp_path, judged.parsed('records'), yard.dataset)
    _leave(yard, tmp_path, monkeypatch)
    records = tmp_path / 'records'
    assert manifest.read(records).description == spec.description
    assert datasets.find(str(records)) == spec
    assert datasets.find(str(records / 'manifest.json')) == spec
    patterns = ['--ground_truth', f'{records}/val*', '--predictions', str(folder)]
    for named in ([], ['--dataset', 'yard/yard.json'], ['--dataset', str(records)]):
        assert evaluate.main([*named, *patterns, '--output', 'evaluation.json']) == 0
        assert json.loads(pathlib.Path('evaluation.json').read_text())['pq']['all'] == 100
    raw = ['--ground_truth', str(yard.root), '--predictions', str(folder)]
    assert evaluate.main([*raw, '--dataset', str(records), '--output', 'raw.json']) == 0
    assert score.main([*raw, '--format', 'coco', '--dataset', str(records)]) == 0
    assert validate.main([*raw, '--format', 'coco', '--dataset', str(records)]) == 0
    assert report.main([*raw, '--records', str(records), '--output', 'report.html']) == 0
    assert show.main([f'{records}/val*', '--output', 'sample.png']) == 0
    assert evaluate.main([*raw, '--output', 'none.json']) == 2
    assert '--dataset is missing' in _error(capsys)


@pytest.mark.slow
def test_statistics_keep_the_description(yard, tmp_path, monkeypatch):
    assert _convert('yard/yard.json') == 0
    _leave(yard, tmp_path, monkeypatch)
    assert statistics.main(['--input', f'{tmp_path}/records/val*', '--output', 'statistics']) == 0
    kind = data_statistics.Statistics
    found = result_files.read_typed(kind, 'statistics/statistics.json', 'statistics')
    kept = datasets.of_copy(found.named)
    assert [category.name for category in kept.categories] == ['soil', 'fence', 'cart', 'crate']


def test_a_model_keeps_the_description(yard, tmp_path, monkeypatch):
    model, folder = Soil(), tmp_path / 'model'
    tf.saved_model.save(model, str(folder), signatures={'pixels': model.serve_pixels})
    spec = datasets.find('yard/yard.json')
    facts = exported.Facts(spec.name, False, True, description=spec.copied.description)
    exported.write(folder, facts)
    assert exported.read(folder) == facts
    _leave(yard, tmp_path, monkeypatch)
    output = tmp_path / 'predictions'
    given = ['--saved_model', str(folder), '--input', str(yard.root), '--split', 'val']
    assert predict.main([*given, '--output', str(output)]) == 0
    truth = ['--predictions', str(output), '--ground_truth', str(yard.root)]
    assert validate.main(['--format', 'coco', '--dataset', str(folder), *truth]) == 0
    assert score.main(['--format', 'coco', *truth]) == 0


def test_models_and_records_of_earlier_versions_are_read(yard, tmp_path, capsys):
    assert _convert('yard/yard.json') == 0
    content = json.loads((tmp_path / 'records/manifest.json').read_text())
    del content['description']
    (tmp_path / 'records/manifest.json').write_text(json.dumps(content))
    assert lookup.dataset(['records/x']) == datasets.find('yard/yard.json')
    folder = tmp_path / 'model'
    (folder / 'assets.extra').mkdir(parents=True)
    (folder / 'saved_model.pb').touch()
    facts = {'dataset': 'yard/yard.json', 'config': '', 'uses_op': False, 'has_instances': True}
    (folder / 'assets.extra/panpipe.json').write_text(json.dumps({**facts, 'version': '0'}))
    assert datasets.find(str(folder)) == datasets.find('yard/yard.json')
    yard.dataset.unlink()
    arguments = ['--saved_model', str(folder), '--input', str(yard.root), '--output', 'out']
    assert predict.main(arguments) == 2
    assert 'cannot read the data set description yard/yard.json' in _error(capsys)


def test_splits_of_a_set_that_is_spelled_otherwise_stay(yard, tmp_path, capsys):
    other = yards.Yard(tmp_path / 'more', split='train')
    assert _convert('yard/yard.json') == 0
    shutil.copy(yard.dataset, tmp_path / 'copy.json')
    assert _convert(tmp_path / 'copy.json', 'train', other.root) == 0
    assert set(manifest.read('records').splits) == {'train', 'val'}
    before = (tmp_path / 'records/manifest.json').read_bytes()
    different = _renumbered(yard, tmp_path / 'different.json')
    assert _convert(different, 'train', other.root) == 2
    told = _error(capsys)
    assert 'records holds val of ' in told
    assert 'copy.json, which is another data set than' in told
    assert "name of the class 2 (cart) is 'cart', not 'crate'" in told
    assert (tmp_path / 'records/manifest.json').read_bytes() == before
    assert not [*(tmp_path / 'records').glob('.*')]


def test_the_same_description_elsewhere_needs_no_new_work(yard, tmp_path, capsys):
    """Interrupted work is found again, whatever the path to the description."""
    plans = []
    for dataset in ('yard/yard.json', tmp_path / 'yard/yard.json'):
        assert _convert(dataset) == 0
        plans.append(manifest.read('records').splits['val'].plan)
    assert plans[0] == plans[1]


def test_a_damaged_manifest_is_replaced(yard, tmp_path, capsys):
    (tmp_path / 'records').mkdir()
    (tmp_path / 'records/manifest.json').write_text('{')
    assert _convert('yard/yard.json') == 0
    assert 'is replaced' in capsys.readouterr().err
    assert manifest.read('records').splits['val'].images == 2


def test_records_of_another_set_are_told(yard, tmp_path, capsys):
    assert _convert('yard/yard.json') == 0
    different = _renumbered(yard, tmp_path / 'different.json', label_divisor=512)
    truth = ['--ground_truth', 'records/val*', '--predictions', 'nowhere', '--output', 'evaluation.json']
    assert evaluate.main(['--dataset', str(different), *truth]) == 2
    told = _error(capsys)
    assert 'the records in records are of yard/yard.json, another data set than' in told
    assert 'label_divisor is 512, not 1000' in told
    experiment = config.loads(
        f'train_dataset_options {{ dataset: "{different}" file_pattern: "records/val*" }}'
    )
    with pytest.raises(
        errors.InputError, match=r'dataset is .*different.json, but .* yard/yard.json: label_di'
    ):
        pipeline._inspect(
            experiment.train_dataset_options,
            'train_dataset_options',
            datasets.find(str(different)).labels,
            with_labels=True,
        )


def test_statistics_of_another_set_are_told(yard, tmp_path):
    spec = datasets.find('yard/yard.json')
    changes = {'dataset': spec.name, 'description': spec.description}
    found = dataclasses.replace(small_statistics.FOUND, **changes)
    result_files.write_typed('statistics.json', found)
    different = _renumbered(yard, tmp_path / 'different.json')
    with pytest.raises(
        errors.InputError, match=r'statistics are of yard/yard\.json, but dataset is .*different'
    ):
        checks._fits(config.Experiment(), 'statistics.json', str(different))


def test_a_run_keeps_the_description(yard, tmp_path, monkeypatch):
    spec = datasets.find('yard/yard.json')
    directory = run_folder.RunDirectory(str(tmp_path / 'runs'), 'first')
    directory.keep_dataset(spec)
    different = datasets.find(str(_renumbered(yard, tmp_path / 'different.json')))
    directory.keep_dataset(different)  # the first one counts
    checkpoint = os.path.join(directory.path, 'best', 'ckpt-2')
    for place in (directory.path, checkpoint):
        run_folder.check_dataset(place, spec, 'eval_dataset_options')
        with pytest.raises(
            errors.InputError, match=r'runs/first was trained on yard/yard.json, but eval_dataset_'
        ):
            run_folder.check_dataset(place, different, 'eval_dataset_options')
    run_folder.check_dataset(str(tmp_path / 'runs/second'), different, 'eval_dataset_options')
    sets = [
        *experiments.overrides('val*'),
        'train_dataset_options.dataset=yard/yard.json',
        'eval_dataset_options.dataset=yard/yard.json',
        'experiment_name=first',
        'model_options.panoptic_deeplab.semantic_head.output_channels=4',
    ]
    _leave(yard, tmp_path, monkeypatch)
    with pytest.raises(errors.InputError, match=r'cannot read the data set description yard/yard\.json'):
        config.load(experiments.CONFIG, sets)
    for run in (tmp_path / 'runs', directory.path, checkpoint):
        found = config.load(experiments.CONFIG, sets, str(run))
        assert datasets.find(found.train_dataset_options.dataset) == spec
        assert datasets.find(found.eval_dataset_options.dataset) == spec


def test_records_serve_a_configuration_whose_description_is_gone(yard, tmp_path, monkeypatch):
    assert _convert('yard/yard.json') == 0
    sets = [
        *experiments.overrides(f'{tmp_path}/records/val*'),
        'train_dataset_options.dataset=yard/yard.json',
        'eval_dataset_options.dataset=yard/yard.json',
        'experiment_name=first',
        'model_options.panoptic_deeplab.semantic_head.output_channels=4',
    ]
    _leave(yard, tmp_path, monkeypatch)
    found = config.load(experiments.CONFIG, sets)
    assert datasets.find(found.train_dataset_options.dataset).by_id[3].name == 'crate'


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        ({'label_divisor': 256}, 'label_divisor is 1000, not 256'),
        ({'ignore_label': 254}, 'ignore_label is 255, not 254'),
        ({'official_void': 99}, 'official_void is 0, not 99'),
        ({'layout': 'ade20k'}, ''),
    ],
)
def test_differences_are_told(yard, tmp_path, changes, difference):
    other = datasets.find(str(_renumbered(yard, tmp_path / 'other.json', **changes)))
    assert datasets.find('yard/yard.json').description.difference(other.description) == difference


def test_a_missing_class_is_told(yard, tmp_path):
    content = json.loads(yard.dataset.read_text())
    content['categories'].pop()
    (tmp_path / 'fewer.json').write_text(json.dumps(content))
    one, other = (datasets.find(name).description for name in ('yard/yard.json', 'fewer.json'))
    assert one.difference(other) == other.difference(one) == 'only one has the class 3, crate'


def test_descriptions_survive_writing(yard):
    spec = datasets.find('yard/yard.json')
    assert descriptions.Description.from_json(json.loads(spec.description.encoded())) == spec.description
    shipped = datasets.find('coco_panoptic')
    assert datasets.described('coco_panoptic', shipped.description, shipped.splits) == shipped
    assert shipped.copied == descriptions.Named('coco_panoptic', None)
    assert np.array_equal(datasets.described('x', spec.description).palette(), spec.palette())
