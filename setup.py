# SPDX-License-Identifier: Apache-2.0
"""Maps the top-level folders to the namespace `panpipe`; metadata and tools are in pyproject.toml."""

import setuptools

ROOMS = ('components', 'custom_ops', 'model', 'pipelines')

setuptools.setup(
    packages=[
        f'panpipe.{name}'
        for room in ROOMS
        for name in (room, *(f'{room}.{inner}' for inner in setuptools.find_packages(room)))
    ],
    package_dir={f'panpipe.{room}': room for room in ROOMS},
    package_data={
        'panpipe.model': ['categories/*.json', 'configs/**/*.textproto'],
        'panpipe.components': ['*.toml'],
        'panpipe.custom_ops': ['cc/*', 'cc/cuda/*', '*.so'],
        'panpipe.pipelines': ['reporting/templates/*', 'scoring/official/*'],
    },
)
