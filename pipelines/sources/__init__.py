# SPDX-License-Identifier: Apache-2.0
"""Raw data sets as downloaded, one module a layout: `list_images` is cheap, `load` runs on workers."""

from panpipe.pipelines.sources.registry import module as module
