# SPDX-License-Identifier: Apache-2.0
"""Raw data sets as downloaded, one module a layout.

Its `list_images` names the files of a split, cheaply; `entries.load` reads an image on a worker.
"""

from panpipe.pipelines.sources.registry import module as module
