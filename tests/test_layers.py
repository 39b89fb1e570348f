# SPDX-License-Identifier: Apache-2.0
"""Imports point down the layers, and the core does without TensorFlow."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = ('model', 'pipelines', 'components', 'custom_ops')
CORE = (
    *(f'panpipe.model.{folder}' for folder in ('drawing', 'experiment', 'jobs', 'metrics', 'storage')),
    *(f'panpipe.model.{name}' for name in ('config', 'datasets', 'errors', 'image_files', 'labels')),
    *(f'panpipe.model.{name}' for name in ('quality', 'tensors')),
)
NETWORK = (
    'panpipe.model.inputs',
    'panpipe.model.layers',
    'panpipe.model.backbones',
    'panpipe.model.decoders',
    'panpipe.model.losses',
    'panpipe.model.postprocess',
    'panpipe.custom_ops',
)
# What each layer may import of panpipe: itself and all above it in this list.
LAYERS = (
    CORE,
    NETWORK,
    tuple(
        f'panpipe.model.{name}'
        for name in (
            'network',
            'architectures',
            'mask_transformer',
            'building',
            'build',
            'checkpoints',
            'foreign',
            'inference',
            'predictor',
        )
    ),
    ('panpipe.model.training',),
    tuple(f'panpipe.model.{job}' for job in ('train', 'export', 'importing', 'oracles', 'probe')),
)
RECORDS = ('panpipe.model.inputs.records',)
EXCEPTIONS = {
    # Whether the evaluators' interpreter is there is told before any job needs it.
    'panpipe.components.doctor': ('panpipe.pipelines.scoring.official_python',),
    # The only job that predicts holds a model as Python programs do.
    'panpipe.pipelines.predictions.saved_model': ('panpipe.model.predictor',),
    # Showing the data means showing the very targets and crops that training computes.
    'panpipe.pipelines.reporting.record_sheet': ('panpipe.model.inputs.previews',),
}
CONFIGURATION = ('panpipe.model.config', 'panpipe.model.experiment')
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob('*.py') if path.name != '__init__.py')


def _name(path):
    return 'panpipe.' + '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def _imports(path):
    """Names the panpipe modules that a file imports, at the top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith('panpipe'))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path} imports relatively'
            if (node.module or '').startswith('panpipe'):
                yield from (f'{node.module}.{alias.name}' for alias in node.names)


def _within(name, rooms):
    return any(name == room or name.startswith(f'{room}.') for room in rooms)


def _allowed(name):
    if name.startswith('panpipe.components.'):
        return (*CORE, *EXCEPTIONS.get(name, ()), 'panpipe.components')
    if name.startswith('panpipe.pipelines.'):
        return (*CORE, *RECORDS, *EXCEPTIONS.get(name, ()), 'panpipe.pipelines')
    for depth, layer in enumerate(LAYERS):
        if _within(name, layer):
            return tuple(room for lower in LAYERS[: depth + 1] for room in lower)
    raise AssertionError(f'{name} is in no layer: add it to LAYERS')


@pytest.mark.parametrize('path', MODULES, ids=_name)
def test_imports_point_down(path):
    allowed = _allowed(_name(path))
    wrong = [name for name in _imports(path) if not _within(name, allowed)]
    assert not wrong, f'{_name(path)} must not import {wrong}'


def test_the_linter_sorts_the_modules_of_the_tests_with_ours():
    settings = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    known = settings['tool']['ruff']['lint']['isort']['known-first-party']
    assert known == sorted(known)
    shared = {path.stem for path in (ROOT / 'tests').glob('*.py') if not path.stem.startswith('test_')}
    missing = shared - {'conftest', *known}
    assert not missing, 'name them in known-first-party of pyproject.toml'


@pytest.mark.parametrize('path', MODULES, ids=_name)
def test_modules_stay_small(path):
    lines = path.read_text().splitlines()
    assert lines[0] == '# SPDX-License-Identifier: Apache-2.0'
    assert len(lines) <= 300


@pytest.mark.parametrize('path', MODULES, ids=_name)
def test_no_layer_sees_a_configuration(path):
    """Configuration stops at build.py, the solver, the losses' options and the jobs."""
    name = _name(path)
    if _within(name, ('panpipe.model.layers', 'panpipe.model.backbones', 'panpipe.model.decoders')):
        assert not [imported for imported in _imports(path) if _within(imported, CONFIGURATION)]


def test_the_core_does_without_tensorflow():
    core = [name for name in map(_name, MODULES) if _within(name, (*CORE, *RECORDS))]
    program = (
        f'import importlib, sys\nfor name in {core!r}:\n'
        '    importlib.import_module(name)\n'
        "assert not {'tensorflow', 'keras', 'apache_beam', 'kfp'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, '-c', program], check=True)
