# SPDX-License-Identifier: Apache-2.0
"""Analyzes records in a pipeline with TensorFlow Transform; importing this module imports TensorFlow."""

import dataclasses
import functools

import apache_beam as beam
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import schema_utils
from tfx_bsl.public import tfxio

from panpipe.model import labels
from panpipe.pipelines import execution
from panpipe.pipelines.record_files import label_counts

_BATCH_SIZE = 8  # records decoded at once; bounds memory


@dataclasses.dataclass(eq=False)
class AnalyzeRecords(execution.Step):
    """Counts what serialised records hold, and writes the graph that keeps the counts.

    Attributes:
      codec: of the labels.
      graph: folder to make, from which `label_counts.values` reads.
      scratch: folder for files on the way.
    """

    codec: labels.LabelSpec
    graph: str
    scratch: str

    def expand(self, serialized: beam.PCollection) -> beam.PCollection:
        """Returns one element, once the graph is written."""
        schema = schema_utils.schema_from_feature_spec(dict(label_counts.FEATURES))
        form = tfxio.TFExampleBeamRecord('tfrecord', ['panpipe'], schema)
        analyze = functools.partial(label_counts.analyze, codec=self.codec)
        batches = serialized | 'Batch' >> form.BeamSource(batch_size=_BATCH_SIZE)
        with tft_beam.Context(temp_dir=self.scratch):
            counted = (batches, form.TensorAdapterConfig()) | 'Analyze' >> tft_beam.AnalyzeDataset(analyze)
            return counted | 'WriteGraph' >> tft_beam.WriteTransformFn(self.graph)
