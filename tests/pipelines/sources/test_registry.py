# SPDX-License-Identifier: Apache-2.0
"""Every layout that a data set may have is read by a module, and predicted in a known form."""

from panpipe.model import datasets
from panpipe.pipelines import sources
from panpipe.pipelines.formats import registry


def test_every_layout_has_a_module_and_a_form():
    assert {spec.layout for spec in datasets.SPECS.values()} == set(datasets.LAYOUTS)
    for spec in datasets.SPECS.values():
        assert sources.module(spec).__name__ == datasets.LAYOUTS[spec.layout].source
        assert spec.format in registry.FORMATS
