# SPDX-License-Identifier: Apache-2.0
"""Schedules equal the reference's; optimizers do what the configuration says."""

import json

import keras
import numpy as np
import pytest

import shared
from panpipe.model import config, errors, train
from panpipe.model.training import solver


def _options(args):
    names = (
        'learning_policy',
        'base_learning_rate',
        'training_number_of_steps',
        'warmup_steps',
        'poly_learning_power',
        'poly_end_learning_rate',
    )
    return config.SolverOptions(**{name: args[name] for name in names})


def test_schedules_equal_the_reference():
    for path in sorted(shared.golden('learning_rate').glob('*.npz')):
        with np.load(path) as file:
            z = dict(file)
        args = json.loads(str(z['args_json']))
        schedule = solver.schedule(_options(args), args['multiplier'])
        ours = [float(schedule(int(step))) for step in z['steps']]
        # Near the end of a decay the reference's float32 remainder 1 - step / T has few digits left.
        np.testing.assert_allclose(
            ours, z['lr'], rtol=1e-5, atol=2e-7 * args['base_learning_rate'], err_msg=path.name
        )


def test_learning_rate_takes_python_steps():
    rate = train.learning_rate(config.SolverOptions(base_learning_rate=1.0, training_number_of_steps=10))
    assert [round(rate(step), 4) for step in (0, 5, 10, 11)] == [1.0, 0.5359, 0.0, 0.0]


def test_warm_up_starts_at_zero():
    rate = train.learning_rate(config.SolverOptions(base_learning_rate=1.0, warmup_steps=4))
    assert [rate(step) for step in (0, 1, 2, 3)] == [0.0, 0.25, 0.5, 0.75]


class _Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.layers.Dense(1, name='encoder')
        self.head = keras.layers.Dense(1, name='head')

    def call(self, x):
        return self.head(self.encoder(x))


def _network():
    network = _Network()
    network(np.ones([1, 1], np.float32))
    network.set_weights([np.ones_like(w) for w in network.get_weights()])
    return network


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'optimizer': 'sgd'}, 0.9),
        ({'optimizer': 'sgd', 'weight_decay': 0.5}, 0.85),
        ({'optimizer': 'adam'}, 0.9),
        ({'optimizer': 'adamw', 'adamw_weight_decay': 0.5}, 0.85),
    ],
)
def test_one_step_on_a_gradient_of_one(options, expected):
    network = _network()
    group = solver.optimizers(config.SolverOptions(base_learning_rate=0.1, **options), network)['optimizer']
    group.optimizer.apply([np.ones(v.shape, np.float32) for v in group.variables], group.variables)
    values = {v.path.split('/')[-1]: float(np.ravel(v)[0]) for v in network.encoder.variables}
    assert values['kernel'] == pytest.approx(expected, abs=1e-5)
    assert values['bias'] == pytest.approx(0.9, abs=1e-5), 'biases must not decay'


def test_the_encoder_may_have_a_rate_of_its_own():
    options = config.SolverOptions(
        base_learning_rate=0.1, optimizer='sgd', backbone_learning_rate_multiplier=0.1
    )
    groups = solver.optimizers(options, _network())
    rates = {name: float(group.optimizer.learning_rate) for name, group in groups.items()}
    assert rates == pytest.approx({'optimizer': 0.1, 'backbone_optimizer': 0.01})
    assert [v.path.split('/')[-2] for v in groups['backbone_optimizer'].variables] == ['encoder'] * 2


@pytest.mark.parametrize('field', ['optimizer', 'learning_policy'])
def test_unknown_names_are_refused(field):
    with pytest.raises(errors.InputError, match=f"{field} is 'lion'; it is one of"):
        solver.optimizers(config.SolverOptions(**{field: 'lion'}), _network())
