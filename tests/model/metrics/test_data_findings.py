# SPDX-License-Identifier: Apache-2.0
"""Advice: each line names what it is about and a cure, and a sound data set gets none."""

import dataclasses
import pathlib

import pytest

from panpipe.model import config
from panpipe.model.metrics import data_findings
from panpipe.model.storage import typed_json

NOTHING = data_findings.Examples()


def _image(name, split='train'):
    return data_findings.Image(name, split, f'{split}-00000-of-00001.tfrecord')


def _class(name, train, val, **more):
    shares = {'train': train, 'val': val}
    return data_findings.ClassFindings(name, shares, shares, **more)


SOUND = data_findings.Findings(
    *({'train': 10, 'val': 5}, 0, 0, (), NOTHING, NOTHING, NOTHING),
    (_class('road', 0.6, 0.7), _class('car', 0.4, 0.3, things=200, vanished={'8': 0, '16': 0, '32': 2})),
)
LEAK = data_findings.Twins(_image('a'), _image('b', 'val'), 0)
PAIR = data_findings.Twins(_image('c'), _image('d'), 2)


def test_a_sound_data_set_gets_no_advice():
    assert data_findings.advice(SOUND) == ()


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'between': 3, 'twins': (LEAK, PAIR)}, ('3 pairs', 'a of train and b of val)', 'split by scene')),
        ({'within': 1, 'twins': (LEAK, PAIR)}, ('1 pairs', '(c of train and d of train)', 'count twice')),
        (
            {'empty': data_findings.Examples(2, (_image('x'), _image('y')))},
            ('2 images', '(x, y)', 'teach nothing'),
        ),
        ({'undecodable': data_findings.Examples(1, (_image('z'),))}, ('(z)', 'panpipe validate --records')),
        (
            {'classes': (_class('road', 0.9, 0.9), _class('bus', 0, 0.1))},
            ('val shows bus', 'cannot learn it'),
        ),
        (
            {'classes': (_class('road', 0.99, 0.9), _class('bus', 0.01, 0.1))},
            ('differ in bus: 1.00% of train, 10.00% of val', 'whole scenes'),
        ),
        (
            {'classes': (_class('car', 1, 1, things=100, vanished={'8': 1, '16': 4, '32': 20}),)},
            ('1.0% at 8, 4.0% at 16, 20.0% at 32', 'car 20%', 'output_stride=16'),
        ),
        (
            {'classes': (_class('road', 0.9, 0.9), _class('bus', 0.0005, 0.0005))},
            ('bus has 0.050% of the pixels of train, road 90.0%', 'top_k_percent=0.2'),
        ),
    ],
)
def test_every_oddity_is_one_line_with_a_cure(changes, words):
    (line,) = data_findings.advice(dataclasses.replace(SOUND, **changes))
    for word in words:
        assert word in line
    assert '\n' not in line


def test_splits_of_other_names_are_not_compared():
    shares = {'dev': 0.5}
    found = dataclasses.replace(
        SOUND, images={'dev': 3}, classes=(data_findings.ClassFindings('bus', shares, shares),)
    )
    assert data_findings.advice(found) == ()


def test_the_fields_that_cures_set_exist(monkeypatch):
    for name in ('TRAIN_SET', 'VAL_SET'):
        monkeypatch.setenv(name, 'x')
    lines = data_findings.advice(
        dataclasses.replace(
            SOUND,
            classes=(
                _class('road', 0.9, 0.9),
                _class('bus', 0.0005, 0.0005, things=10, vanished={'8': 1, '16': 1, '32': 9}),
            ),
        )
    )
    sets = [word.rstrip(',;') for line in lines for word in line.split() if '=' in word]
    assert len(sets) == 3
    base = pathlib.Path(config.__file__).parent / 'configs/toy/cityscapes_mobilenet_v3_small.textproto'
    for entry in sets:
        config.load(str(base), [entry.replace('SIDE', '65')])


def test_findings_are_read_back():
    found = dataclasses.replace(SOUND, twins=(LEAK,), empty=data_findings.Examples(1, (_image('x'),)))
    assert typed_json.decode(data_findings.Findings, typed_json.encode(found)) == found
