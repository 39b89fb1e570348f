# SPDX-License-Identifier: Apache-2.0
"""The modules that read raw layouts, by data set."""

import importlib
import types

from panpipe.model import datasets


def module(spec: datasets.DatasetSpec) -> types.ModuleType:
    """Imports the module that lists the raw files of this data set's layout."""
    return importlib.import_module(datasets.LAYOUTS[spec.layout].source)
