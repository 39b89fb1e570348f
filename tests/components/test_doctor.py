# SPDX-License-Identifier: Apache-2.0
import pytest

from panpipe.components import doctor
from panpipe.model import errors

TOY = 'toy/cityscapes_mobilenet_v3_small'


def test_packages_are_compared_with_what_is_required():
    found = {finding.subject: finding for finding in doctor.packages()}
    assert found['kfp'].state == 'ok'
    assert 'pytest' not in found


def test_missing_records_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv('TRAIN_SET', str(tmp_path / 'train-*'))
    monkeypatch.setenv('VAL_SET', str(tmp_path / 'val-*'))
    (tmp_path / 'val-0').touch()
    told = doctor.configuration(doctor.read(TOY, ()))
    found = [finding for finding in told if finding.subject == 'records']
    assert [finding.state for finding in found] == ['warn', 'ok']
    assert 'run panpipe convert' in found[0].detail


def test_a_wrong_configuration_is_an_input_error(monkeypatch):
    monkeypatch.delenv('TRAIN_SET', raising=False)
    with pytest.raises(errors.InputError, match='TRAIN_SET'):
        doctor.read(TOY, ())


def test_a_file_that_is_no_text_is_an_input_error(tmp_path, capsys):
    (tmp_path / 'c.textproto').write_bytes(b'experiment_name: "\xe9"')
    assert doctor.main(['--config', str(tmp_path / 'c.textproto')]) == 2
    assert 'c.textproto is not text (byte 18 is not UTF-8)' in capsys.readouterr().err


@pytest.fixture
def records(monkeypatch):
    for name in ('TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'nowhere')


def test_this_environment_is_usable(capsys):
    assert doctor.main([]) == 0
    shown = capsys.readouterr().out
    for subject in (
        'python',
        'tensorflow',
        'kfp',
        'g++',
        'accelerators',
        'compiled op',
        'official evaluators',
    ):
        assert subject in shown


@pytest.mark.slow
def test_the_network_is_built(records, capsys):
    assert doctor.main(['--config', TOY, '--set', 'experiment_name=']) == 0
    shown = capsys.readouterr().out
    assert 'can be built, ' in shown
    assert 'warn  experiment_name' in shown


@pytest.mark.slow
def test_what_training_refuses_is_an_input_error(records, capsys):
    assert doctor.main(['--config', TOY, '--set', 'model_options.backbone.name=resnet5']) == 2
    error = capsys.readouterr().err
    assert "model_options.backbone.name is 'resnet5'; it is one of" in error
    assert error.count('\n') == 1
