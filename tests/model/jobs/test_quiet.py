# SPDX-License-Identifier: Apache-2.0
"""Notes of libraries are kept off the console; what jobs say, and errors, are not."""

import contextlib
import logging
import os
import sys
import warnings

import pytest

from panpipe.model.jobs import quiet

NOTES = [
    'I0000 00:00:1732000000.123456   12345 cuda_dnn.cc:529] Loaded cuDNN version 90300',
    'W0000 00:00:1732000000.123456   12345 gpu_device.cc:2344] Cannot dlopen some GPU libraries.',
    'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
    '2025-11-27 10:00:00.000000: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary',
    '2025-11-27 10:00:00.000000: W external/local_xla/xla/tsl/framework/bfc_allocator.cc:310] Allocator',
    'E0000 00:00:1732000000.123456   12345 cuda_platform.cc:51] failed call to cuInit: INTERNAL',
    'WARNING:root:Resource module is not available on this platform',
]
WORTH_READING = [
    'panpipe train: error: cannot read a.textproto: it is missing',
    'E0000 00:00:1732000000.123456   12345 cuda_dnn.cc:522] Could not load library',
    '2025-11-27 10:00:00.000000: E tensorflow/core/framework/node_def_util.cc:680] NodeDef mentions',
    '2025-11-27 10:00:00.000000: F tensorflow/core/platform/statusor.cc:36] Attempting to fetch value',
    'train: 3/3  loss 1.0  (1.00 s each)',
    'Traceback (most recent call last):',
    'WARNING:root:something else',
    'In 2025, W was a letter',
]


@pytest.mark.parametrize('line', NOTES)
def test_notes_are_known(line):
    assert quiet.NOTE.match(line)


@pytest.mark.parametrize('line', WORTH_READING)
def test_what_is_worth_reading_is_no_note(line):
    assert not quiet.NOTE.match(line)


@contextlib.contextmanager
def _console(monkeypatch):
    """Lets Python write where C++ does, as outside of pytest."""
    with open(2, 'w', closefd=False, buffering=1) as stream, monkeypatch.context() as patched:
        patched.setattr(sys, 'stderr', stream)
        yield


def test_notes_are_held_back_whoever_wrote_them(capfd, monkeypatch):
    with _console(monkeypatch), quiet.start():
        os.write(2, f'{NOTES[0]}\n{WORTH_READING[1]}\n'.encode())
        print(NOTES[2], file=sys.stderr)
        print(WORTH_READING[0], file=sys.stderr)
    assert capfd.readouterr().err.splitlines() == [WORTH_READING[1], WORTH_READING[0]]
    os.write(2, NOTES[0].encode())
    assert capfd.readouterr().err == NOTES[0]


def test_what_was_said_before_a_failure_is_passed_on(capfd, monkeypatch):
    def fail():
        print(WORTH_READING[0], file=sys.stderr)
        raise RuntimeError('stopped')

    with pytest.raises(RuntimeError, match='stopped'), _console(monkeypatch), quiet.start():
        fail()
    assert capfd.readouterr().err == f'{WORTH_READING[0]}\n'


def test_bytes_that_are_no_text_do_not_stop_it(capfd):
    with quiet.start():
        os.write(2, b'caf\xe9\n')
    assert 'caf' in capfd.readouterr().err


def test_no_descriptor_is_left_open():
    before = os.listdir('/proc/self/fd')
    for _ in range(3):
        with quiet.start():
            pass
    assert len(os.listdir('/proc/self/fd')) == len(before)


@pytest.fixture(name='as_before')
def fixture_as_before(monkeypatch):
    """Undoes what `libraries` sets for the whole process."""
    names = ('apache_beam', 'tensorflow', 'tensorflow_transform', 'h5py')
    levels = {name: logging.getLogger(name).level for name in names}
    filters = list(logging.getLogger().filters)
    monkeypatch.setenv('GRPC_VERBOSITY', 'x')
    monkeypatch.delenv('GRPC_VERBOSITY')
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', os.environ.get('TF_CPP_MIN_LOG_LEVEL', '3'))
    with warnings.catch_warnings():
        yield
    logging.getLogger().filters[:] = filters
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures('as_before')
def test_libraries_log_errors_alone():
    quiet.libraries()
    for name in ('apache_beam', 'tensorflow', 'h5py'):
        logger = logging.getLogger(name)
        assert not logger.isEnabledFor(logging.WARNING)
        assert logger.isEnabledFor(logging.ERROR)
    assert os.environ['GRPC_VERBOSITY'] == 'ERROR'


@pytest.mark.usefixtures('as_before')
def test_a_verbosity_that_is_asked_for_stays(monkeypatch):
    monkeypatch.setenv('GRPC_VERBOSITY', 'DEBUG')
    quiet.libraries()
    assert os.environ['GRPC_VERBOSITY'] == 'DEBUG'


@pytest.mark.usefixtures('as_before')
@pytest.mark.parametrize(
    ('text', 'passes'), [('Resource module is not available', False), ('disk is full', True)]
)
def test_the_root_logger_leaves_notes_out(text, passes):
    quiet.libraries()
    record = logging.LogRecord('root', logging.WARNING, __file__, 1, text, None, None)
    assert bool(logging.getLogger().filter(record)) == passes


@pytest.mark.usefixtures('as_before')
def test_warnings_of_deprecation_are_not_shown():
    quiet.libraries()
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn('old', DeprecationWarning, stacklevel=1)
        warnings.warn('wrong', UserWarning, stacklevel=1)
    assert [str(one.message) for one in shown] == ['wrong']


def test_devices_are_looked_for_where_tensorflow_is_imported_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, 'tensorflow', raising=False)
    quiet.find_devices()
    assert 'tensorflow' not in sys.modules
