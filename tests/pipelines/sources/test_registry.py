# SPDX-License-Identifier: Apache-2.0
"""Every layout that a data set may have is read by a module, and predicted in a known form."""

import importlib

from panpipe.model import datasets
from panpipe.pipelines import sources
from panpipe.pipelines.formats import registry


def test_every_layout_has_a_module_and_a_form():
    for layout in datasets.LAYOUTS.values():
        module = importlib.import_module(layout.source)
        assert callable(module.list_images)
        assert layout.format == 'cityscapes' or isinstance(module.PANOPTIC_FILES, tuple)
        assert layout.format in registry.FORMATS


def test_every_shipped_data_set_has_a_layout():
    for spec in datasets.SPECS.values():
        assert sources.module(spec).__name__ == datasets.LAYOUTS[spec.layout].source
