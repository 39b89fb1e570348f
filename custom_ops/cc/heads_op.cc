// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over heads.h.
#include <cstdint>
#include <functional>
#include <limits>

#include "attributes.h"
#include "heads.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

constexpr int64_t kCost = 5;  // nanoseconds a pixel and step

REGISTER_OP("PanpipePanopticFromHeads")
    .Input("semantic_logits: float")
    .Input("center_heatmap: float")
    .Input("offset: float")
    .Input("size: int32")
    .Output("panoptic: int32")
    .Output("semantic: int32")
    .Output("instance: int32")
    .Output("score: float")
    .Attr("center_threshold: float")
    .Attr("nms_kernel: int")
    .Attr("keep_k_centers: int")
    .Attr("thing_ids: list(int)")
    .Attr("label_divisor: int")
    .Attr("stuff_area_limit: int")
    .Attr("void_label: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle logits, size, shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &logits));
      TF_RETURN_IF_ERROR(context->MakeShapeFromShapeTensor(3, &size));
      TF_RETURN_IF_ERROR(context->Concatenate(context->Vector(context->Dim(logits, 0)), size, &shape));
      for (int i = 0; i < 4; ++i) context->set_output(i, shape);
      return tf::OkStatus();
    })
    .Doc("Makes a prediction [batch, *size] of heads [batch, height, width, channels] at any stride.");

class HeadsOp : public tf::OpKernel {
 public:
  explicit HeadsOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    int32_t nms_kernel = 0;
    OP_REQUIRES_OK(context, context->GetAttr("center_threshold", &center_rules_.threshold));
    OP_REQUIRES_OK(context, ReadAttribute(context, "nms_kernel", 1, kMax, &nms_kernel));
    OP_REQUIRES_OK(context, context->GetAttr("keep_k_centers", &center_rules_.keep_k));
    OP_REQUIRES_OK(context, ReadRules(context, &merge_rules_));
    center_rules_.nms_kernel = nms_kernel;
  }

  void Compute(tf::OpKernelContext* context) override {
    int64_t height, width;
    OP_REQUIRES_OK(context, ReadShapes(context, &height, &width));
    const tf::TensorShape shape({context->input(0).dim_size(0), height, width});
    tf::Tensor* maps[4];
    for (int i = 0; i < 4; ++i) {
      OP_REQUIRES_OK(context, context->allocate_output(i, shape, &maps[i]));
      PreferLargePages(*maps[i]);
    }
    const Bands threads(context);
    const int64_t num_bands = std::min(threads.Count(height * width, kBandsPerThread), height);
    const auto for_each = [&](int64_t n, const std::function<void(int64_t)>& work) {
      threads.ForEach(n, kCost * height * width / n, work);
    };
    for (int64_t image = 0; image < shape.dim_size(0); ++image) {
      const HeadMaps heads = HeadsAt(context, image);
      const int64_t first = image * height * width;
      const PredictionMaps prediction = {
          maps[0]->flat<int32_t>().data() + first, maps[1]->flat<int32_t>().data() + first,
          maps[2]->flat<int32_t>().data() + first, maps[3]->flat<float>().data() + first, height, width};
      HeadsOfImage(heads, center_rules_, merge_rules_, prediction).Predict(num_bands, for_each);
    }
  }

 private:
  static constexpr int64_t kBandsPerThread = 4;  // rows with things and class borders cost more than others

  tf::Status ReadShapes(tf::OpKernelContext* context, int64_t* height, int64_t* width) const {
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
                                           context->input(i).shape().DebugString(), " must be ",
                                           wanted.DebugString(), ", like semantic_logits");
      }
    }
    if (logits.dim_size(3) - 1 > merge_rules_.largest_label()) {
      return tf::errors::InvalidArgument("semantic_logits has ", logits.dim_size(3), " classes; labels are 0 .. ",
                                         merge_rules_.largest_label(), ", so that panoptic ids fit into int32");
    }
    if (context->input(3).NumElements() != 2) return tf::errors::InvalidArgument("size must be [height, width]");
    *height = context->input(3).flat<int32_t>()(0);
    *width = context->input(3).flat<int32_t>()(1);
    constexpr int64_t kTooLarge = 1 << 24;  // from there on float32 skips positions
    if (*height < 1 || *width < 1 || *height >= kTooLarge || *width >= kTooLarge) {
      return tf::errors::InvalidArgument("size is ", *height, " x ", *width, "; it must be positive, below 2^24");
    }
    return tf::OkStatus();
  }

  static HeadMaps HeadsAt(tf::OpKernelContext* context, int64_t image) {
    const tf::TensorShape& shape = context->input(0).shape();
    const auto map = [&](int i) {
      const tf::Tensor& input = context->input(i);
      return input.flat<float>().data() + image * (input.NumElements() / input.dim_size(0));
    };
    return {map(0), map(1), map(2), shape.dim_size(1), shape.dim_size(2), shape.dim_size(3)};
  }

  CenterRules center_rules_;
  MergeRules merge_rules_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipePanopticFromHeads").Device(tf::DEVICE_CPU), HeadsOp);

}  // namespace
}  // namespace panpipe
