# SPDX-License-Identifier: Apache-2.0
"""Statistics come back from their file; files of another form or version are refused in one line."""

import dataclasses
import json

import pytest

import small_statistics
from panpipe.model import datasets, errors
from panpipe.model.metrics import data_statistics, result_files
from panpipe.model.storage import descriptions

SPEC = datasets.SPECS['cityscapes_panoptic']
AREA = data_statistics.Areas(1, 2.5, 9, {'0.5': 2.0})
INSTANCES = data_statistics.Instances(3, data_statistics.PerImage(1.5, 2), AREA)


def _read(path):
    return result_files.read_typed(data_statistics.Statistics, path, 'statistics')


@pytest.mark.parametrize('description', [None, SPEC.description])
@pytest.mark.parametrize('instances', [small_statistics.FOUND.instances, INSTANCES])
def test_statistics_come_back(description, instances, tmp_path):
    found = dataclasses.replace(small_statistics.FOUND, description=description, instances=instances)
    result_files.write_typed(tmp_path / 'statistics.json', found)
    assert _read(tmp_path / 'statistics.json') == found
    assert found.named == descriptions.Named('cityscapes_panoptic', description)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (
            lambda told: told.pop('schema'),
            'has schema None, and this version of panpipe reads 1; run',
        ),
        (lambda told: told.pop('void_share'), r'void_share is missing\); give the file that `panpipe stati'),
        (lambda told: told.update(height=None), 'height is .None., not an object'),
        (
            lambda told: told['classes'][0].update(pixels='many'),
            'pixels is .many., not a whole number',
        ),
        (lambda told: told.update(crop_size=[1]), 'crop_size is .*, not a list of 2'),
        (lambda told: told.update(colour='red'), 'colour is unknown'),
    ],
)
def test_other_files_are_refused_in_one_line(change, words, tmp_path):
    path = tmp_path / 'statistics.json'
    result_files.write_typed(path, small_statistics.FOUND)
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(errors.InputError, match=words) as caught:
        _read(path)
    assert '\n' not in str(caught.value)
