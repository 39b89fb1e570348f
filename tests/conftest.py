# SPDX-License-Identifier: Apache-2.0
"""The order of tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first: a processor that begins them last would work alone at the end."""
    items.sort(key=lambda item: item.path.name != 'test_end_to_end.py')
