# SPDX-License-Identifier: Apache-2.0
import pytest

from panpipe.components import profiles
from panpipe.model import errors


@pytest.mark.parametrize('name', profiles.shipped())
def test_shipped_profiles_give_every_step_requests_and_a_memory_limit(name):
    table = profiles.table(name)
    for step in profiles.STEPS:
        needs = profiles.needs(table, step)
        assert needs.cpu, step
        assert needs.memory, step
        assert needs.memory_limit, step


def test_accelerators_of_the_shipped_profiles():
    asked = {
        name: {step for step in profiles.STEPS if profiles.needs(profiles.table(name), step).accelerator}
        for name in profiles.shipped()
    }
    assert asked == {'cpu': set(), 'gpu': {'train', 'evaluate', 'predict'}, 'tpu': {'train'}}


def test_every_field_can_be_overridden():
    table = profiles.override(
        profiles.table('gpu'),
        [
            'train.cpu=16',
            'train.accelerators=4',
            'train.shm=',
            'train.tolerations=a:NoExecute,b=c:NoSchedule',
            'train.node_selector=zone=a,kind=b',
            'evaluate.memory_limit=99Gi',
        ],
    )
    needs = profiles.needs(table, 'train')
    assert (needs.cpu, needs.accelerators, needs.shm, needs.memory) == ('16', 4, '', '24Gi')
    assert needs.tolerations == ('a:NoExecute', 'b=c:NoSchedule')
    assert needs.node_selector == {'zone': 'a', 'kind': 'b'}
    assert profiles.needs(table, 'evaluate').memory_limit == '99Gi'
    assert profiles.needs(profiles.table('gpu'), 'train').cpu == '8'


def test_all_overrides_every_step_and_a_step_overrides_all():
    table = profiles.override(profiles.table('cpu'), ['all.memory=3Gi', 'train.memory=5Gi'])
    found = {step: profiles.needs(table, step).memory for step in profiles.STEPS}
    assert found.pop('train') == '5Gi'
    assert set(found.values()) == {'3Gi'}


def test_without_a_profile_nothing_is_asked():
    assert profiles.needs(profiles.table(''), 'train') == profiles.Needs()


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / 'ours.toml'
    path.write_text('[all]\nmemory = "1Gi"\n[train]\ntolerations = ["x:NoSchedule"]\n')
    table = profiles.table(str(path))
    assert profiles.needs(table, 'train').tolerations == ('x:NoSchedule',)
    assert profiles.needs(table, 'score').memory == '1Gi'


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: profiles.table('gpus'), 'it is cpu, gpu, tpu, or a .toml file'),
        (lambda: profiles.table('absent.toml'), 'cannot read absent.toml'),
        (lambda: profiles.override({}, ['train.memory']), 'write STEP.FIELD=VALUE'),
        (lambda: profiles.override({}, ['trian.memory=1Gi']), "did you mean 'train'"),
        (lambda: profiles.override({}, ['train.memry=1Gi']), "did you mean 'memory'"),
        (lambda: profiles.override({}, ['train.accelerators=many']), 'accelerators is a number'),
        (lambda: profiles.tolerate({}, ['nvidia.com/gpu']), 'write KEY:EFFECT'),
    ],
)
def test_mistakes_name_the_cure(make, words):
    with pytest.raises(errors.InputError, match=words):
        make()


def test_broken_files_are_told(tmp_path):
    path = tmp_path / 'a.toml'
    path.write_text('[train\n')
    with pytest.raises(errors.InputError, match='is no TOML file'):
        profiles.table(str(path))
