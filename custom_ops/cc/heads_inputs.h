// SPDX-License-Identifier: Apache-2.0
// The attributes, inputs and outputs of the op from heads to a prediction, the same on every device.
#ifndef PANPIPE_CUSTOM_OPS_CC_HEADS_INPUTS_H_
#define PANPIPE_CUSTOM_OPS_CC_HEADS_INPUTS_H_

#include <cstdint>
#include <limits>

#include "attributes.h"
#include "heads.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace panpipe {

struct HeadsAttributes {
  ::tensorflow::Status Read(::tensorflow::OpKernelConstruction* context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    int32_t nms_kernel = 0;
    TF_RETURN_IF_ERROR(context->GetAttr("center_threshold", &center_rules.threshold));
    TF_RETURN_IF_ERROR(ReadAttribute(context, "nms_kernel", 1, kMax, &nms_kernel));
    TF_RETURN_IF_ERROR(context->GetAttr("keep_k_centers", &center_rules.keep_k));
    center_rules.nms_kernel = nms_kernel;
    return ReadRules(context, &merge_rules);
  }

  CenterRules center_rules;
  MergeRules merge_rules;
};

// Reads an input that is the size of the prediction.
inline ::tensorflow::Status ReadSize(::tensorflow::OpKernelContext* context, int input, int64_t* height,
                                     int64_t* width) {
  namespace tf = ::tensorflow;
  const tf::Tensor& size = context->input(input);
  if (size.NumElements() != 2) return tf::errors::InvalidArgument("size must be [height, width]");
  *height = size.flat<int32_t>()(0);
  *width = size.flat<int32_t>()(1);
  constexpr int64_t kTooLarge = 1 << 24;  // from there on float32 skips positions
  if (*height < 1 || *width < 1 || *height >= kTooLarge || *width >= kTooLarge) {
    return tf::errors::InvalidArgument("size is ", *height, " x ", *width, "; it must be positive, below 2^24");
  }
  return tf::OkStatus();
}

// Checks the four inputs and reads the last, the size of the prediction, which lies in host memory.
inline ::tensorflow::Status ReadShapes(::tensorflow::OpKernelContext* context, const MergeRules& rules,
                                       int64_t* height, int64_t* width) {
  namespace tf = ::tensorflow;
  const tf::TensorShape& logits = context->input(0).shape();
  if (logits.dims() != 4 || logits.dim_size(1) < 1 || logits.dim_size(2) < 1 || logits.dim_size(3) < 1) {
    return tf::errors::InvalidArgument("semantic_logits ", logits.DebugString(),
                                       " must be [batch, height, width, classes], and not empty");
  }
  for (int i = 1; i <= 2; ++i) {
    tf::TensorShape wanted = logits;
    wanted.set_dim(3, i);
    if (context->input(i).shape() != wanted) {
      return tf::errors::InvalidArgument(i == 1 ? "center_heatmap " : "offset ",
                                         context->input(i).shape().DebugString(), " must be ", wanted.DebugString(),
                                         ", like semantic_logits");
    }
  }
  if (logits.dim_size(3) - 1 > rules.largest_label()) {
    return tf::errors::InvalidArgument("semantic_logits has ", logits.dim_size(3), " classes; labels are 0 .. ",
                                       rules.largest_label(), ", so that panoptic ids fit into int32");
  }
  return ReadSize(context, 3, height, width);
}

// The heads of one image of the batch.
inline HeadMaps HeadsAt(::tensorflow::OpKernelContext* context, int64_t image) {
  const ::tensorflow::TensorShape& shape = context->input(0).shape();
  const auto map = [&](int i) {
    const ::tensorflow::Tensor& input = context->input(i);
    return input.flat<float>().data() + image * (input.NumElements() / input.dim_size(0));
  };
  return {map(0), map(1), map(2), shape.dim_size(1), shape.dim_size(2), shape.dim_size(3)};
}

// Makes the four maps of the batch.
inline ::tensorflow::Status AllocateMaps(::tensorflow::OpKernelContext* context, int64_t height, int64_t width,
                                         ::tensorflow::Tensor* maps[4]) {
  const ::tensorflow::TensorShape shape({context->input(0).dim_size(0), height, width});
  for (int i = 0; i < 4; ++i) TF_RETURN_IF_ERROR(context->allocate_output(i, shape, &maps[i]));
  return ::tensorflow::OkStatus();
}

// The prediction of one image of the batch.
inline PredictionMaps PredictionAt(::tensorflow::Tensor* const maps[4], int64_t image) {
  const int64_t height = maps[0]->dim_size(1), width = maps[0]->dim_size(2);
  const int64_t first = image * height * width;
  return {maps[0]->flat<int32_t>().data() + first,
          maps[1]->flat<int32_t>().data() + first,
          maps[2]->flat<int32_t>().data() + first,
          maps[3]->flat<float>().data() + first,
          height,
          width};
}

}  // namespace panpipe

#endif  // PANPIPE_CUSTOM_OPS_CC_HEADS_INPUTS_H_
