// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over heads.h.
#include <algorithm>
#include <cstdint>
#include <functional>

#include "attributes.h"
#include "heads.h"
#include "heads_inputs.h"
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
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(tf::OpKernelContext* context) override {
    int64_t height, width;
    OP_REQUIRES_OK(context, ReadShapes(context, attributes_.merge_rules, &height, &width));
    tf::Tensor* maps[4];
    OP_REQUIRES_OK(context, AllocateMaps(context, height, width, maps));
    for (const tf::Tensor* map : maps) PreferLargePages(*map);
    const Bands threads(context);
    const int64_t num_bands = std::min(threads.Count(height * width, kBandsPerThread), height);
    const auto for_each = [&](int64_t n, const std::function<void(int64_t)>& work) {
      threads.ForEach(n, kCost * height * width / n, work);
    };
    for (int64_t image = 0; image < maps[0]->dim_size(0); ++image) {
      const HeadMaps heads = HeadsAt(context, image);
      const PredictionMaps prediction = PredictionAt(maps, image);
      HeadsOfImage(heads, attributes_.center_rules, attributes_.merge_rules, prediction).Predict(num_bands, for_each);
    }
  }

 private:
  static constexpr int64_t kBandsPerThread = 4;  // rows with things and class borders cost more than others

  HeadsAttributes attributes_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipePanopticFromHeads").Device(tf::DEVICE_CPU), HeadsOp);

}  // namespace
}  // namespace panpipe
