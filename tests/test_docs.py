# SPDX-License-Identifier: Apache-2.0
"""Examples in the documentation do what they say."""

import doctest
import pathlib

DOCS = pathlib.Path(__file__).parents[1] / 'docs'


def test_the_examples_of_the_api_page():
    found = doctest.testfile(str(DOCS / 'api.md'), module_relative=False)
    assert found.attempted > 20
    assert found.failed == 0
