# SPDX-License-Identifier: Apache-2.0
"""Findings are shown as they are, and those in the way are named."""

import pytest

from panpipe.components import findings

FINDINGS = [
    findings.Finding('Python', 'ok', '3.12'),
    findings.Finding('GPU', 'warn', 'none; training will be slow'),
    findings.Finding('ops', 'bad', 'not built; run make op'),
    findings.Finding('data', 'bad', 'missing; give --input'),
]


def test_what_is_bad_is_returned_in_order():
    assert findings.show(FINDINGS) == ['ops', 'data']
    assert findings.show(FINDINGS[:2]) == []
    assert findings.show([]) == []


def test_each_finding_is_a_line(capsys):
    findings.show(FINDINGS)
    lines = [line.rstrip().split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines == [[one.state, one.subject, one.detail] for one in FINDINGS]


@pytest.mark.parametrize(
    'text',
    ['panpipe[gpu]', '/data/[/]/images', '[bold]', "['a', 'b']", 'shards [0-9]*', '[/tmp]'],
)
def test_brackets_are_no_styles(text, capsys):
    findings.show([findings.Finding(text, 'warn', text)])
    assert ' '.join(capsys.readouterr().out.split()) == f'warn {text} {text}'


def test_another_state_is_a_fault_of_the_program():
    with pytest.raises(KeyError):
        findings.show([findings.Finding('a', 'fine', '')])
