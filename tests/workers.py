# SPDX-License-Identifier: Apache-2.0
"""Real workers of one training: processes of this machine that reach each other through its loopback.

Importing TensorFlow takes longer than a short training. So this file, run as a program, imports it once,
starts nothing of it, and forks a process for each worker.
"""

import json
import os
import pathlib
import random
import signal
import socket
import sys
import time

import numpy as np
import tensorflow as tf

import experiments
import small
from panpipe.model import train
from panpipe.model.training import interruption, loop, run_folder, strategies

BATCH = 12
PATIENCE = 240  # seconds, on a busy machine
MINUTE = 60.0
_FIELDS = (
    f'train_dataset_options.batch_size={BATCH}',
    'trainer_options.solver_options.optimizer=sgd',
    'trainer_options.solver_options.base_learning_rate=0.01',
    'trainer_options.solver_options.warmup_steps=0',
    'trainer_options.solver_options.ema_momentum=0.5',
    'trainer_options.solver_options.use_gradient_clipping=true',
    'trainer_options.solver_options.clip_gradient_norm=5.0',
    'trainer_options.steps_per_loop=1',
    'trainer_options.save_checkpoints_steps=1',
    'evaluator_options.num_vis_samples=0',
)


class Team:
    """Workers that run one function; each writes its output into a file of its own."""

    def __init__(self, folder, number, body):
        """Forks `number` workers that call `body()`; one alone is told of no others."""
        self.folder, self._processes, self.statuses = folder, [], [None] * number
        folder.mkdir(exist_ok=True)
        addresses = [f'127.0.0.1:{port}' for port in _free_ports(number)]
        for index in range(number):
            process = os.fork()
            if not process:
                _work(folder / f'{index}.log', addresses, index, body)
            self._processes.append(process)

    def kill(self, index, number=signal.SIGKILL):
        """Sends a signal to a worker."""
        os.kill(self._processes[index], number)

    def wait(self, seconds=PATIENCE):
        """Waits for the end of all workers; returns the exit status of each, negative for a signal."""
        end = time.monotonic() + seconds
        while None in self.statuses:
            for index, status in enumerate(self.statuses):
                if status is None:
                    ended, code = os.waitpid(self._processes[index], os.WNOHANG)
                    self.statuses[index] = os.waitstatus_to_exitcode(code) if ended else None
            if time.monotonic() > end:
                for index, status in enumerate(self.statuses):
                    if status is None:
                        self.kill(index)
                raise AssertionError(f'after {seconds} s: {self.statuses}\n{self.told(0)[-3000:]}')
            time.sleep(0.05)
        return self.statuses

    def told(self, index):
        """Returns what a worker wrote."""
        return (self.folder / f'{index}.log').read_text(errors='replace')


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(('127.0.0.1', 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _work(log, addresses, index, body):
    """Becomes a worker, which ends as any Python program does; never returns."""
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.pop('TF_CONFIG', None)
        if len(addresses) > 1:
            task = {'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': index}}
            os.environ['TF_CONFIG'] = json.dumps(task)
        status = body() or 0
    except Exception:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.exit(status)


def _network(experiment):
    made = small.Small()
    made(tf.zeros((1, 33, 65, 3)))
    return made


def arguments(folder, model_dir, steps, *more):
    """Makes the command line of a training of the small network."""
    pattern = str(folder / 'train*')
    sets = [f'--set={field}' for field in experiments.overrides(pattern, steps, *_FIELDS, *more)]
    return ['--config', str(experiments.CONFIG), '--model_dir', str(model_dir), '--mode', 'train', *sets]


def run_dir(model_dir):
    """Names the folder of the run."""
    return model_dir / 'toy_cityscapes'


def state(model_dir):
    """Reads the newest checkpoint: tensors by name."""
    reader = tf.train.load_checkpoint(str(run_dir(model_dir)))
    names = set(reader.get_variable_to_shape_map()) - {'_CHECKPOINTABLE_OBJECT_GRAPH'}
    return {name: reader.get_tensor(name) for name in sorted(names) if 'save_counter' not in name}


def wait_for(file, team):
    """Waits for a file that a team is going to write."""
    end = time.monotonic() + PATIENCE
    while not file.exists():
        assert time.monotonic() < end, team.told(0)[-3000:]
        time.sleep(0.01)


def equal(folder, parts):
    """Measures the first steps of a training on one, two and three workers; writes NUMBER.npz for each."""
    fields = (f'trainer_options.gradient_accumulation_steps={parts}',)
    for number in (1, 2, 3):
        team = Team(folder / str(number), number, lambda number=number: _steps(folder, number, fields))
        assert set(team.wait()) == {0}, team.told(0)[-3000:]
    team = Team(folder / 'mirrored', 1, lambda: _steps(folder, 'mirrored', fields, _two_processors))
    assert set(team.wait()) == {0}, team.told(0)[-3000:]


def _two_processors():
    """Makes two replicas in one process."""
    processor = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    return strategies.Place(tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1']))


def _steps(folder, number, fields, start=lambda: strategies.start('auto')):
    place = start()
    experiment = experiments.load(str(folder / 'train*'), 3, *_FIELDS, *fields)
    kind = run_folder.RunDirectory if place.is_chief else run_folder.Onlooker
    run = loop.Training(experiment, kind(str(folder / str(number)), 'run'), place)
    found = {'before': _flat(run.network.trainable_variables)}
    for step in range(3):
        losses = run._loop(1, lambda *_: None, interruption.Watch())
        found[f'losses_{step}'] = np.array(list(losses.values()))
        found[f'weights_{step}'] = _flat(run.network.trainable_variables)
    found['statistics'] = _flat(run.network.non_trainable_variables)
    found['averages'] = _flat(run._trainer.average.variables)
    worker = place.cluster.index if place.cluster else 0
    np.savez(folder / f'{number}_{worker}.npz', **found)


def _flat(variables):
    return np.concatenate([np.ravel(v.numpy()) for v in variables])


STEPS = 16


def killed(folder, rounds):
    """Kills a worker of a training at a random moment and starts all again, `rounds` times."""
    for number in (2, 3):
        team = _train(folder / f'whole_{number}', number)
        assert team.wait() == [0] * number, team.told(0)[-3000:]
    for count in range(rounds):
        _kill(folder, count, 2 + count % 2)


def _kill(folder, count, number):
    model_dir, victim = folder / f'killed_{count}', random.randrange(number)
    team = _train(model_dir, number)
    wait_for(run_dir(model_dir) / f'ckpt-{random.randrange(STEPS - 4)}.index', team)
    time.sleep(random.uniform(0, 0.1))
    team.kill(victim)
    begin = time.monotonic()
    statuses = team.wait(MINUTE)
    seconds = time.monotonic() - begin
    for index, status in enumerate(statuses):
        wanted = -signal.SIGKILL if index == victim else 1
        assert status == wanted, f'worker {index}: {status}\n{team.told(index)[-3000:]}'
        lines = [line for line in team.told(index).splitlines() if line.startswith('panpipe train: error')]
        assert len(lines) == (index != victim), team.told(index)[-3000:]
        assert all('lost another worker' in line for line in lines), lines
        assert 'Traceback' not in team.told(index), team.told(index)[-3000:]
    _go_on(folder, model_dir, number)
    print(
        f'round {count}: worker {victim} of {number} killed, others ended after {seconds:.1f} s', flush=True
    )


def _go_on(folder, model_dir, number):
    """Starts a training again, and compares what it ends with to an undisturbed one."""
    again = _train(model_dir, number)
    assert again.wait() == [0] * number, again.told(0)[-3000:]
    assert 'going on from' in again.told(0)
    expected, found = state(folder / f'whole_{number}'), state(model_dir)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def terminated(folder, rounds):
    """Sends SIGTERM to one worker of a training, and starts all again, `rounds` times."""
    team = _train(folder / 'whole_2', 2)
    assert team.wait() == [0, 0], team.told(0)[-3000:]
    for count in range(rounds):
        model_dir = folder / f'terminated_{count}'
        team = _train(model_dir, 2)
        wait_for(run_dir(model_dir) / f'ckpt-{random.randrange(STEPS - 6)}.index', team)
        team.kill((count + 1) % 2, signal.SIGTERM)
        assert team.wait(MINUTE) == [143, 143], team.told(0)[-3000:]
        assert all('SIGTERM: saved step' in team.told(index) for index in range(2))
        _go_on(folder, model_dir, 2)
        print(f'round {count}', flush=True)


def _train(model_dir, number):
    model_dir.mkdir(exist_ok=True)
    command = arguments(model_dir.parent, model_dir, STEPS)
    return Team(model_dir / 'logs', number, lambda: train.main(command))


if __name__ == '__main__':
    loop.build.network = _network
    {'equal': equal, 'killed': killed, 'terminated': terminated}[sys.argv[1]](
        pathlib.Path(sys.argv[2]), int(sys.argv[3])
    )
