# SPDX-License-Identifier: Apache-2.0
import dataclasses

import fsspec
import pytest

import small_statistics
from panpipe.components import checks, experiment, steps, workflow
from panpipe.model.metrics import result_files

CONFIG = experiment.source('toy/cityscapes_mobilenet_v3_small')
IMAGE = 'registry.example:5000/team/panpipe:0.1.0'
WHOLE = ['eval_dataset_options.min_resize_value=0', 'eval_dataset_options.max_resize_value=0']


@pytest.fixture
def statistics(tmp_path):
    path = tmp_path / 'statistics.json'

    def write(found=small_statistics.FOUND, **changes):
        result_files.write_typed(path, dataclasses.replace(found, **changes))
        return str(path)

    return write


def _found(subject, statistics='', images=(IMAGE,), **values):
    found = checks.examine({'config': CONFIG, **values}, images, statistics)
    (one,) = [finding for finding in found if finding.subject == subject]
    return one


def test_a_run_on_toy_data_is_ready():
    found = checks.examine({'config': CONFIG}, [IMAGE])
    assert {finding.state for finding in found} == {'ok'}


@pytest.mark.parametrize(
    ('image', 'state'),
    [
        (IMAGE, 'ok'),
        ('panpipe:2', 'ok'),
        (f'{IMAGE}@sha256:{"0" * 64}', 'ok'),
        ('registry.example/panpipe', 'warn'),
        ('registry.example/panpipe:latest', 'warn'),
        (steps.IMAGE, 'bad'),
        ('Registry.example/PanPipe:1', 'bad'),
        ('registry.example/panpipe:', 'bad'),
        ('https://registry.example/panpipe:1', 'bad'),
        ('', 'bad'),
    ],
)
def test_names_of_images(image, state):
    assert checks.named(image).state == state


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'mode': 'eval'}, 'it is one of train, train_and_eval'),
        ({'strategy': 'tpus'}, 'it is one of auto, cpu, gpu, mirrored, multi_worker, tpu'),
        ({'min_pq': 101.0}, 'PQ is in per cent'),
        ({'dataset': 'citiscapes'}, 'citiscapes'),
        ({'val_split': 'valid'}, "val_split is 'valid'; cityscapes_panoptic has train, val"),
    ],
)
def test_parameters_that_no_step_would_take(values, words):
    found = _found('parameters', **values)
    assert found.state == 'bad'
    assert words in found.detail


def test_the_configuration_is_read_with_the_overrides():
    assert _found('configuration', overrides=['trainer_options.nonsense=1']).state == 'bad'
    found = _found('configuration', dataset='coco_panoptic')
    assert found.state == 'bad'
    assert 'coco_panoptic has 134 classes' in found.detail


def test_the_configuration_is_compared_with_the_data(statistics):
    found = _found('data', statistics())
    assert (found.state, 'no pixel of train' in found.detail) == ('ok', True)
    found = _found('data', statistics(), overrides=WHOLE)
    assert found.state == 'bad'
    assert 'set crop_size=1025,2049' in found.detail
    found = _found('data', statistics(small_statistics.with_most_instances(1000)))
    assert 'label_divisor 1000' in found.detail
    assert 'coco_panoptic' in _found('data', statistics(dataset='coco_panoptic')).detail
    assert 'of another form' in _found('data', statistics(height=None)).detail


def test_places_of_this_machine(tmp_path):
    assert _found('raw_data', raw_data=str(tmp_path)).state == 'warn'  # it is empty
    (tmp_path / 'a.png').touch()
    assert _found('raw_data', raw_data=str(tmp_path)).state == 'ok'
    assert _found('work', work=str(tmp_path)).state == 'ok'
    assert [path.name for path in tmp_path.iterdir()] == ['a.png']  # the probe is gone
    found = _found('work', work='/volume/of/the/cluster')
    assert (found.state, 'a volume of the steps must have it' in found.detail) == ('warn', True)
    assert _found('work', work='runs').state == 'bad'


def test_places_in_object_stores():
    store = fsspec.filesystem('memory')
    try:
        assert _found('work', work='memory://bucket/work').state == 'ok'
        assert _found('raw_data', raw_data='memory://bucket/raw').state == 'warn'
    finally:
        store.store.clear()
        store.pseudo_dirs[:] = ['']
    assert _found('work', work='gcs://bucket').state == 'bad'


def test_check_shows_all_and_fails_on_what_is_bad(capsys):
    assert workflow.main(['check', '--image', IMAGE]) == 0
    assert 'configuration' in capsys.readouterr().out
    assert workflow.main(['check', 'mode=eval']) == 2
    told = capsys.readouterr()
    assert 'mode is' in told.out
    assert 'not ready: image, parameters' in told.err


def test_compile_and_submit_look_too(tmp_path, capsys):
    path = tmp_path / 'pipeline.yaml'
    assert workflow.main(['compile', '--output', str(path), '--image', 'No Image']) == 2
    assert not path.exists()
    assert workflow.main(['submit', '--endpoint', 'http://127.0.0.1:9', '--image', IMAGE, 'mode=eval']) == 2
    assert 'not ready: parameters' in capsys.readouterr().err
