# SPDX-License-Identifier: Apache-2.0
import io
import pathlib

import pytest
from kfp import compiler, dsl

from panpipe.components import console, local, steps, workflow
from panpipe.model import errors

TOY = 'toy/cityscapes_mobilenet_v3_small'
_step = dsl.component(base_image=steps.IMAGE, packages_to_install=[], install_kfp_package=False)


@_step
def broken():
    """Fails as a program does that has a fault, with a message of several lines."""
    try:
        raise KeyError('gone')
    except KeyError as error:
        raise TypeError('in user code:\n\n    File "x.py", line 3\n    ValueError: wrong\n') from error


def _document(define, folder):
    path = folder / 'pipeline.yaml'
    compiler.Compiler().compile(define, str(path))
    return path.read_text()


@dsl.pipeline(name='two')
def two(height: int = 64, val_split: str = 'val'):
    size = {'raw_data': '', 'images': 3, 'height': height, 'width': 128, 'work': ''}
    source = steps.source(**size)
    toy = steps.toy(dataset='coco_panoptic', **size)
    steps.convert(
        dataset='coco_panoptic',
        train_split='train',
        val_split=val_split,
        raw_data='',
        data=source.output,
        work='',
        raw=toy.outputs['raw'],
    ).set_retry(3)


@dsl.pipeline(name='faulty')
def faulty():
    broken()


@pytest.mark.slow
def test_real_steps_leave_their_artifacts_and_are_kept(tmp_path, capsys):
    output = tmp_path / 'out'
    document = _document(two, tmp_path)
    ran = local.run(document, {}, output, {})
    assert sorted(step.name for step in ran) == ['convert', 'source', 'toy']
    assert all(step.succeeded and not step.is_kept for step in ran)
    assert list((output / 'records').glob('train-*.tfrecord'))
    assert list((output / 'records').glob('val-*.tfrecord'))
    assert (output / 'raw' / 'annotations').is_dir()
    assert (output / 'samples.html').read_text().count('<section>') == 3
    shown = capsys.readouterr().out
    assert '[3/3] convert\n' in shown
    assert '3 train and 1 val images' in shown
    assert 'KFP Executor' not in shown
    assert '"parameterValues"' not in shown
    assert '"parameterValues"' in ran[0].log.read_text()
    assert '<h1>coco_panoptic, train</h1>' in (output / 'samples.html').read_text()
    assert (output / 'summary.md').read_text().startswith('## Succeeded')
    kept = local.run(document, {}, output, {})
    assert all(step.is_kept for step in kept)
    assert 'kept from an earlier run: source, toy, convert\n' in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_removed_is_made_again_and_going_back_is_not_free(tmp_path):
    output, document = tmp_path / 'out', _document(two, tmp_path)
    for arguments, made in (({}, 3), ({'val_split': 'train'}, 1), ({}, 1), ({}, 0)):
        ran = local.run(document, arguments, output, {})
        assert len([step for step in ran if not step.is_kept]) == made
    (output / 'samples.html').unlink()
    ran = local.run(document, {}, output, {})
    assert [step.name for step in ran if not step.is_kept] == ['convert']


def test_a_users_mistake_in_a_step_is_an_input_error(tmp_path):
    with pytest.raises(errors.InputError, match=r'step toy: --height x --width is 3 x 128'):
        local.run(_document(two, tmp_path), {'height': 3}, tmp_path / 'out', {})


def test_a_fault_in_a_step_names_step_and_log(tmp_path, capsys):
    with pytest.raises(errors.JobError, match=r'step broken: ValueError: wrong \(its log: .*broken.log\)'):
        local.run(_document(faulty, tmp_path), {}, tmp_path / 'out', {})
    shown = capsys.readouterr().out
    assert 'Traceback' not in shown
    assert 'x.py' not in shown
    assert 'Traceback' in (tmp_path / 'out' / 'logs' / 'broken.log').read_text()


def test_other_files_in_the_output_folder_are_left_alone(tmp_path):
    (tmp_path / 'records').mkdir()
    with pytest.raises(errors.InputError, match='not of an earlier run'):
        local.run(_document(faulty, tmp_path), {}, tmp_path, {})


def test_console_shows_own_lines_in_pieces_of_any_size(tmp_path):
    said = (
        "12:00:00.1 - INFO - Executing task \x1b[96m'train'\x1b[0m\n12:00:00.2 - INFO - Streamed logs:\n\n"
        '    [KFP Executor 2026-01-01 00:00:00,1 INFO]: Got executor_input:\n'
        '    {\n        "a": {\n        }\n    }\n'
        '    I0000 00:00:1 1 x.cc:1] note\n    step 1\n    panpipe train: error: wrong\n'
        '    panpipe train: error: wrong (exit status 2)\n\n'
        "12:00:01.0 - ERROR - Task \x1b[96m'train'\x1b[0m finished with status "
        '\x1b[91mFAILURE\x1b[0m\nafter\n'
    )
    for size in (1, 7, len(said)):
        out = io.StringIO()
        shown = console.Console(out, tmp_path, 4)
        for start in range(0, len(said), size):
            shown.write(said[start : start + size])
        assert out.getvalue().splitlines()[:2] == ['[1/4] train', '      step 1']
        assert len(out.getvalue().splitlines()) == 3
        (step,) = shown.steps
        assert (step.error, step.is_mistake, step.succeeded) == ('wrong', True, False)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (
            ['--raw_data', 'nowhere', '--config', TOY],
            '--raw_data nowhere is no folder',
        ),
        (['--raw_data', '.'], '--config is missing'),
        (['--config', 'nothing'], 'no configuration nothing'),
        (['--set', 'trainer_options.nonsense=1'], 'nonsense'),
        (['--dataset', 'citiscapes'], 'citiscapes'),
    ],
)
def test_mistakes_are_found_before_any_step(arguments, words, tmp_path, capsys):
    assert workflow.main(['run', '--output', str(tmp_path / 'out'), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1
    assert not pathlib.Path(tmp_path, 'out').exists()
