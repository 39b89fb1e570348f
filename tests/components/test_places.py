# SPDX-License-Identifier: Apache-2.0
import json
import pathlib

import pytest
from kfp import dsl

from panpipe.components import places


@pytest.fixture
def artifact(tmp_path):
    return dsl.Dataset(name='records', uri=str(tmp_path / 'artifact'))


def test_without_work_the_artifact_is_the_place(artifact):
    place = places.claim(artifact, '', 'records', dataset='d')
    assert place.folder == artifact.path
    place.finish()
    assert not place.is_finished
    assert places.follow(artifact) == artifact.path
    assert not pathlib.Path(artifact.path).exists()


def test_with_work_the_artifact_points_to_the_place(artifact, tmp_path):
    work = str(tmp_path / 'work')
    place = places.claim(artifact, work, 'records', dataset='d')
    assert place.folder.startswith(f'{work}/records-')
    assert not place.is_finished
    pathlib.Path(place.folder).mkdir(parents=True)
    pathlib.Path(place.folder, 'manifest.json').write_text('{}')
    place.finish('manifest.json')
    assert places.follow(artifact) == place.folder
    assert artifact.metadata['address'] == place.folder
    assert sorted(path.name for path in pathlib.Path(artifact.path).iterdir()) == [
        'manifest.json',
        'place.json',
    ]
    told = json.loads(pathlib.Path(f'{place.folder}.json').read_text())
    assert told['dataset'] == 'd'


def test_the_next_attempt_and_the_same_facts_find_the_place(artifact, tmp_path):
    work, other = str(tmp_path / 'work'), dsl.Dataset(name='o', uri=str(tmp_path / 'other'))
    place = places.claim(artifact, work, 'records', dataset='d', data='1')
    place.finish()
    again = places.claim(other, work, 'records', data='1', dataset='d')
    assert again.is_finished
    assert again.folder == place.folder


@pytest.mark.parametrize('facts', [{'dataset': 'e', 'data': '1'}, {'dataset': 'd', 'data': '2'}])
def test_other_facts_have_another_place(facts, artifact, tmp_path):
    work = str(tmp_path / 'work')
    place = places.claim(artifact, work, 'records', dataset='d', data='1')
    place.finish()
    assert not places.claim(artifact, work, 'records', **facts).is_finished


def test_an_artifact_can_stand_for_another(artifact, tmp_path):
    accepted = dsl.Model(name='accepted', uri=str(tmp_path / 'accepted'))
    places.refer(accepted, artifact, {'pq': 60.0})
    assert places.follow(accepted) == artifact.uri
    assert accepted.metadata == {'address': artifact.uri, 'pq': 60.0}
    place = places.claim(artifact, str(tmp_path / 'work'), 'records', dataset='d')
    place.finish()
    places.refer(accepted, artifact, {})
    assert places.follow(accepted) == place.folder
