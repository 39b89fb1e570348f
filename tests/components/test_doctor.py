# SPDX-License-Identifier: Apache-2.0
import pytest

from panpipe.components import doctor
from panpipe.model import errors

TOY = 'toy/cityscapes_mobilenet_v3_small'


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


def test_packages_are_compared_with_what_is_required():
    found = {finding.subject: finding for finding in doctor.packages()}
    assert found['kfp'].state == 'ok'
    assert 'pytest' not in found


def test_missing_records_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv('TRAIN_SET', str(tmp_path / 'train-*'))
    monkeypatch.setenv('VAL_SET', str(tmp_path / 'val-*'))
    (tmp_path / 'val-0').touch()
    found = [finding for finding in doctor.configuration(TOY, ()) if finding.subject == 'records']
    assert [finding.state for finding in found] == ['warn', 'ok']
    assert 'run panpipe convert' in found[0].detail


def test_a_wrong_configuration_is_an_input_error(monkeypatch):
    monkeypatch.delenv('TRAIN_SET', raising=False)
    with pytest.raises(errors.InputError, match='TRAIN_SET'):
        list(doctor.configuration(TOY, ()))
