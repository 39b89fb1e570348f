// SPDX-License-Identifier: Apache-2.0
// The inputs of the ops that merge and that group maps, the same on every device.
#ifndef PANPIPE_CUSTOM_OPS_CC_MAPS_INPUTS_H_
#define PANPIPE_CUSTOM_OPS_CC_MAPS_INPUTS_H_

#include <cstdint>

#include "merge.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace panpipe {

// Checks what is merged.
inline ::tensorflow::Status CheckMaps(::tensorflow::OpKernelContext* context) {
  const ::tensorflow::TensorShape& semantic = context->input(0).shape();
  const ::tensorflow::TensorShape& instance = context->input(1).shape();
  if (semantic.dims() == 3 && semantic == instance) return ::tensorflow::OkStatus();
  return ::tensorflow::errors::InvalidArgument("semantic ", semantic.DebugString(), " and instance ",
                                               instance.DebugString(), " must both be [batch, height, width]");
}

inline ::tensorflow::Status BadLabel(int32_t label, const MergeRules& rules) {
  return ::tensorflow::errors::InvalidArgument("a semantic label is ", label, "; it must be 0 .. ",
                                               rules.largest_label(), ", so that its panoptic ids fit into int32");
}

// Checks what is grouped.
inline ::tensorflow::Status CheckThings(::tensorflow::OpKernelContext* context) {
  const ::tensorflow::TensorShape& peaks = context->input(0).shape();
  const ::tensorflow::TensorShape& offset = context->input(1).shape();
  const ::tensorflow::TensorShape& is_thing = context->input(2).shape();
  ::tensorflow::TensorShape pairs = peaks;
  pairs.AddDim(2);
  if (peaks.dims() == 3 && peaks == is_thing && offset == pairs) return ::tensorflow::OkStatus();
  return ::tensorflow::errors::InvalidArgument("peaks ", peaks.DebugString(), ", offset ", offset.DebugString(),
                                               " and is_thing ", is_thing.DebugString(),
                                               " must be [batch, height, width], the offset with two channels");
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_MAPS_INPUTS_H_
