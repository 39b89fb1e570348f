# SPDX-License-Identifier: Apache-2.0
"""Locks: one holder at a time, the living are refused, the dead are succeeded; with real processes."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import fsspec
import pytest

from panpipe.model import errors
from panpipe.model.storage import files, lock, typed_json

_HOLD = """
import sys, time
from panpipe.model import errors
from panpipe.model.storage import lock
lock.SECONDS_A_BEAT = 0.2
try:
    with lock.held(sys.argv[1], sys.argv[2]):
        print('held', flush=True)
        time.sleep(float(sys.argv[3]))
except errors.InputError as error:
    print('refused', error, flush=True)
"""


def _holding(path, seconds=60.0):
    return subprocess.Popen(
        [sys.executable, '-c', _HOLD, str(path), 'convert', str(seconds)], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds the lock of tmp_path/out."""
    process = _holding(tmp_path / 'out.lock')
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def bucket():
    fsspec.filesystem('memory').store.clear()
    yield 'memory://bucket'
    fsspec.filesystem('memory').store.clear()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, 'SECONDS_A_BEAT', 0.2)
    monkeypatch.setattr(lock, 'SECONDS_TO_WATCH', 1.5)


def _elsewhere(path, **facts):
    """Leaves the lock of a process of another machine."""
    other = dataclasses.replace(lock.Holder.here('train'), host='pod-7', **facts)
    files.write_whole(path, other.encoded())
    return other


def test_a_living_holder_is_named(tmp_path, holder):
    path = lock.beside(tmp_path / 'out')
    with pytest.raises(errors.InputError) as caught, lock.held(path, 'convert'):
        pass
    told = str(caught.value)
    assert told.startswith(
        f'{tmp_path / "out"} is being written by panpipe convert, process {holder.pid} on '
    )
    assert socket.gethostname() in told
    assert 'wait for its end, or choose another output' in told


def test_a_killed_holder_is_succeeded(tmp_path, holder, capsys):
    path = lock.beside(tmp_path / 'out')
    holder.send_signal(signal.SIGKILL)  # and not waited for: a zombie is no holder
    time.sleep(0.2)
    with lock.held(path, 'convert'):
        assert json.loads(files.read(path))['process'] == os.getpid()
    told = capsys.readouterr().err
    assert f'took over the lock {path} of panpipe convert, process {holder.pid} on ' in told
    assert told.count('\n') == 1
    assert not os.path.exists(path)


def test_a_stopped_process_still_holds(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(errors.InputError), lock.held(lock.beside(tmp_path / 'out'), 'convert'):
        pass


def test_the_end_of_a_holder_is_waited_for(tmp_path):
    process = _holding(tmp_path / 'out.lock', 1.5)
    assert process.stdout.readline() == 'held\n'
    with lock.held(lock.beside(tmp_path / 'out'), 'convert', patience=30.0):
        assert process.wait() == 0


def test_another_process_of_the_same_number_is_no_holder(tmp_path):
    path = lock.beside(tmp_path / 'out')
    reborn = dataclasses.replace(lock.Holder.here('convert'), began='1')
    files.write_whole(path, reborn.encoded())
    with lock.held(path, 'convert'):
        pass


def test_the_same_process_is_refused_twice(tmp_path):
    path = lock.within(tmp_path)
    with lock.held(path, 'convert'):
        with pytest.raises(errors.InputError, match=f'process {os.getpid()}'), lock.held(path, 'convert'):
            pass
        assert os.path.exists(path)


@pytest.mark.parametrize('is_stale', [False, True], ids=['none', 'of a dead one'])
def test_one_of_many_gets_a_lock(tmp_path, is_stale):
    path = tmp_path / 'out.lock'
    if is_stale:
        dead = dataclasses.replace(lock.Holder.here('convert'), began='1')
        path.write_bytes(dead.encoded())
    processes = [_holding(path, 2.0) for _ in range(6)]
    told = [process.communicate()[0] for process in processes]
    # Those that start late may find the lock free again; never do two hold it at once.
    assert 1 <= sum(line.startswith('held') for line in told) < 6
    assert all(line.startswith(('held', 'refused')) for line in told)
    assert not path.exists()


def test_threads_take_turns(tmp_path):
    path, inside, most = lock.beside(tmp_path / 'out'), [], []

    def work(number):
        with lock.held(path, 'convert', patience=60.0):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(work, range(5)))
    assert most == [1] * 5


@pytest.mark.parametrize('place', ['local', 'memory'])
def test_a_silent_holder_elsewhere_is_succeeded(tmp_path, bucket, quick, capsys, place):
    path = lock.beside(tmp_path / 'out' if place == 'local' else f'{bucket}/out')
    _elsewhere(path)
    started = time.monotonic()
    with lock.held(path, 'train'):
        assert time.monotonic() - started >= lock.SECONDS_TO_WATCH
        assert json.loads(files.read(path))['host'] == socket.gethostname()
    assert 'on pod-7' in capsys.readouterr().err
    assert not files.exists(path)


@pytest.mark.parametrize('place', ['local', 'memory'])
def test_a_beating_holder_elsewhere_is_respected(tmp_path, bucket, quick, place):
    path = lock.beside(tmp_path / 'out' if place == 'local' else f'{bucket}/out')
    other, is_over = _elsewhere(path), threading.Event()

    def beat():
        beats = 0
        while not is_over.wait(0.3):
            beats += 1
            files.write_whole(path, dataclasses.replace(other, beats=beats).encoded())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(errors.InputError, match='on pod-7 since'), lock.held(path, 'train'):
            pass
    finally:
        is_over.set()
        thread.join()


def test_a_container_of_this_host_is_elsewhere(tmp_path, quick, capsys):
    """Its process numbers say nothing here."""
    path = lock.beside(tmp_path / 'out')
    other = dataclasses.replace(lock.Holder.here('train'), namespace='boot pid:[1]', process=2**22 + 1)
    files.write_whole(path, other.encoded())
    started = time.monotonic()
    with lock.held(path, 'train'):
        assert time.monotonic() - started >= lock.SECONDS_TO_WATCH


def test_a_damaged_lock_is_taken_over(tmp_path, quick, capsys):
    path = lock.within(tmp_path)
    (tmp_path / '.lock').write_text('{')
    with lock.held(path, 'convert'):
        pass
    assert 'which is damaged' in capsys.readouterr().err


def test_a_holder_beats(tmp_path, quick):
    path = lock.beside(tmp_path / 'out')
    with lock.held(path, 'convert'):
        time.sleep(0.7)
        assert typed_json.decode(lock.Holder, json.loads(files.read(path))).beats >= 2


def test_who_lost_its_lock_ends(tmp_path, holder):
    _elsewhere(tmp_path / 'out.lock', token='another')
    assert holder.wait(timeout=20) == -signal.SIGTERM
    assert (tmp_path / 'out.lock').exists()  # it is not that holder's to remove


def test_folders_stay_only_with_something_in_them(tmp_path):
    with lock.held(lock.within(tmp_path / 'a/b'), 'convert'):
        assert (tmp_path / 'a/b/.lock').exists()
    assert not (tmp_path / 'a').exists()
    with lock.held(lock.within(tmp_path / 'a/b'), 'convert'):
        (tmp_path / 'a/b/x').touch()
    assert [path.name for path in (tmp_path / 'a/b').iterdir()] == ['x']


def test_a_failure_lets_go(tmp_path):
    path = lock.beside(tmp_path / 'out')
    with contextlib.suppress(ZeroDivisionError), lock.held(path, 'convert'):
        1 / 0  # noqa: B018
    assert not os.path.exists(path)


def test_names():
    assert lock.beside('runs/x/') == 'runs/x.lock'
    assert lock.within('records') == 'records/.lock'
    assert lock.beside('gs://bucket/predictions') == 'gs://bucket/predictions.lock'
    assert lock.beside('gs://bucket') == 'gs://bucket/.lock'
