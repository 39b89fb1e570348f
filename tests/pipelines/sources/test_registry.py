# SPDX-License-Identifier: Apache-2.0
"""Every layout that a data set may have is read by a module."""

from panpipe.model import datasets
from panpipe.pipelines.sources import registry


def test_every_layout_has_a_module():
    assert set(registry.SOURCES) == set(datasets.LAYOUTS)
    for spec in datasets.SPECS.values():
        assert registry.module(spec) is registry.SOURCES[spec.layout]
