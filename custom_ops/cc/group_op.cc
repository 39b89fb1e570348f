// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over grouping.h.
#include <cstdint>

#include "attributes.h"
#include "grouping.h"
#include "maps_inputs.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

constexpr int64_t kCost = 10;  // nanoseconds a pixel

REGISTER_OP("PanpipeGroup")
    .Input("peaks: float")
    .Input("offset: float")
    .Input("is_thing: bool")
    .Output("instance: int32")
    .Output("score: float")
    .Attr("keep_k_centers: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &shape));
      TF_RETURN_IF_ERROR(context->Merge(shape, context->input(2), &shape));
      context->set_output(0, shape);
      context->set_output(1, shape);
      return tf::OkStatus();
    })
    .Doc("Assigns the thing pixels of maps [batch, height, width] to their nearest centers.");

class GroupOp : public tf::OpKernel {
 public:
  explicit GroupOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("keep_k_centers", &keep_k_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& peaks = context->input(0);
    const tf::Tensor& offset = context->input(1);
    const tf::Tensor& is_thing = context->input(2);
    OP_REQUIRES_OK(context, CheckThings(context));
    tf::Tensor *instance, *score;
    OP_REQUIRES_OK(context, context->allocate_output(0, peaks.shape(), &instance));
    OP_REQUIRES_OK(context, context->allocate_output(1, peaks.shape(), &score));
    PreferLargePages(*instance);
    PreferLargePages(*score);
    const int64_t pixels = peaks.dim_size(1) * peaks.dim_size(2);
    for (int64_t i = 0; pixels > 0 && i < peaks.dim_size(0); ++i) {
      const ThingMaps maps = {peaks.flat<float>().data() + i * pixels,
                              offset.flat<float>().data() + 2 * i * pixels,
                              is_thing.flat<bool>().data() + i * pixels,
                              instance->flat<int32_t>().data() + i * pixels,
                              score->flat<float>().data() + i * pixels,
                              peaks.dim_size(1),
                              peaks.dim_size(2)};
      GroupImage(maps, keep_k_, [&](int64_t n, const auto& work) {
        Bands(context).ForEach(n, kCost * maps.width, work);
      });
    }
  }

 private:
  int64_t keep_k_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeGroup").Device(tf::DEVICE_CPU), GroupOp);

}  // namespace
}  // namespace panpipe
