// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over targets.h.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "attributes.h"
#include "targets.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

constexpr int64_t kCost = 5;  // nanoseconds a pixel
constexpr int kOffset = 4;    // among the outputs

REGISTER_OP("PanpipeTargets")
    .Input("panoptic: int32")
    .Input("gaussian: float")
    .Output("semantic: int32")
    .Output("semantic_weight: float")
    .Output("center: float")
    .Output("center_weight: float")
    .Output("offset: float")
    .Output("offset_weight: float")
    .Attr("margin: int")
    .Attr("thing_ids: list(int)")
    .Attr("label_divisor: int")
    .Attr("ignore_label: int")
    .Attr("small_threshold: int")
    .Attr("small_weight: float")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle shape, pairs;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &shape));
      TF_RETURN_IF_ERROR(context->Concatenate(shape, context->Vector(2), &pairs));
      for (int i = 0; i < 6; ++i) context->set_output(i, i == kOffset ? pairs : shape);
      return tf::OkStatus();
    })
    .Doc("Computes the targets of panoptic maps [batch, height, width].");

class TargetsOp : public tf::OpKernel {
 public:
  explicit TargetsOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES_OK(context, ReadAttribute(context, "label_divisor", 1, kMax, &rules_.label_divisor));
    OP_REQUIRES_OK(context, ReadAttribute(context, "ignore_label", -kMax, kMax, &rules_.ignore_label));
    OP_REQUIRES_OK(context, context->GetAttr("margin", &margin_));
    OP_REQUIRES_OK(context, context->GetAttr("small_threshold", &rules_.small_threshold));
    OP_REQUIRES_OK(context, context->GetAttr("small_weight", &rules_.small_weight));
    std::vector<int64_t> ids;
    OP_REQUIRES_OK(context, context->GetAttr("thing_ids", &ids));
    for (const int64_t id : ids) {
      OP_REQUIRES(context, id >= -kMax && id <= kMax, tf::errors::InvalidArgument("a thing id is ", id));
      rules_.thing_ids.push_back(static_cast<int32_t>(id));
    }
    std::sort(rules_.thing_ids.begin(), rules_.thing_ids.end());
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& panoptic = context->input(0);
    const tf::Tensor& window = context->input(1);
    OP_REQUIRES(context, panoptic.dims() == 3,
                tf::errors::InvalidArgument("panoptic ", panoptic.shape().DebugString(),
                                            " must be [batch, height, width]"));
    OP_REQUIRES(context, window.dims() == 2 && window.dim_size(0) == window.dim_size(1),
                tf::errors::InvalidArgument("gaussian ", window.shape().DebugString(), " must be a square"));
    tf::Tensor* maps[6];
    for (int i = 0; i < 6; ++i) {
      tf::TensorShape shape = panoptic.shape();
      if (i == kOffset) shape.AddDim(2);
      OP_REQUIRES_OK(context, context->allocate_output(i, shape, &maps[i]));
      PreferLargePages(*maps[i]);
    }
    const Gaussian gaussian = {window.flat<float>().data(), window.dim_size(0), margin_};
    const int64_t height = panoptic.dim_size(1), width = panoptic.dim_size(2), pixels = height * width;
    if (pixels == 0) return;
    const auto floats = [&](int i, int64_t image) {
      return maps[i]->flat<float>().data() + image * pixels * (i == kOffset ? 2 : 1);
    };
    Bands(context).ForEach(panoptic.dim_size(0), kCost * pixels, [&](int64_t image) {
      const TargetsOfImage targets(panoptic.flat<int32_t>().data() + image * pixels, height, width, rules_);
      targets.Write(gaussian, {maps[0]->flat<int32_t>().data() + image * pixels, floats(1, image), floats(2, image),
                               floats(3, image), floats(4, image), floats(5, image)});
    });
  }

 private:
  TargetRules rules_;
  int64_t margin_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeTargets").Device(tf::DEVICE_CPU), TargetsOp);

}  // namespace
}  // namespace panpipe
