# SPDX-License-Identifier: Apache-2.0
"""A custom data set whose description is gone is found beside the run or the records."""

import dataclasses
import shutil

import pytest

import yards
from panpipe.model import config, datasets
from panpipe.model.experiment import copied_datasets
from panpipe.model.storage import manifest


@pytest.fixture
def yard(tmp_path):
    return yards.Yard(tmp_path / 'yard')


@pytest.fixture
def records(yard, tmp_path):
    """Makes a folder of records that keeps the description."""
    spec = datasets.find(str(yard.dataset))
    folder = tmp_path / 'records'
    manifest.write(folder, manifest.Manifest(spec.name, '1', {}, spec.description))
    return folder


def _settled(yard, records, run='', name=None):
    experiment = config.Experiment(experiment_name='first')
    named = dataclasses.replace(
        experiment.train_dataset_options,
        dataset=name or str(yard.dataset),
        file_pattern=(f'{records}/train*',),
    )
    experiment = dataclasses.replace(experiment, train_dataset_options=named)
    return copied_datasets.settle(experiment, run).train_dataset_options.dataset


def test_a_description_that_is_there_is_taken(yard, records):
    assert _settled(yard, records) == str(yard.dataset)


def test_records_take_the_place_of_one_that_is_gone(yard, records):
    yard.dataset.unlink()
    found = _settled(yard, records)
    assert found != str(yard.dataset)
    assert [one.name for one in datasets.find(found).categories] == ['soil', 'fence', 'cart', 'crate']


@pytest.mark.parametrize('place', ['runs', 'runs/first', 'runs/first/best/ckpt-1', 'runs/first/ckpt-1'])
def test_so_does_a_run_however_it_is_named(yard, records, tmp_path, place):
    (tmp_path / 'runs' / 'first').mkdir(parents=True)
    shutil.copy(records / manifest.NAME, tmp_path / 'runs' / 'first' / manifest.NAME)
    yard.dataset.unlink()
    found = _settled(yard, tmp_path / 'none', str(tmp_path / place))
    assert found.startswith(str(tmp_path / 'runs' / 'first'))


def test_a_copy_of_another_data_set_is_left_aside(yard, records):
    assert _settled(yard, records, name='other.json') == 'other.json'
    assert _settled(yard, records, name='coco_panoptic') == 'coco_panoptic'
