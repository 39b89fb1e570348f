// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over scores.h.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "attributes.h"
#include "scores.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

REGISTER_OP("PanpipeInstanceSums")
    .Input("panoptic: int32")
    .Input("semantic: int32")
    .Input("instance: int32")
    .Input("score: float")
    .Input("probability: float")
    .Input("is_thing: bool")
    .Output("ids: int32")
    .Output("pixels: float")
    .Output("probabilities: float")
    .Output("scores: float")
    .Attr("label_divisor: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle map;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 2, &map));
      for (int i = 1; i < 4; ++i) TF_RETURN_IF_ERROR(context->Merge(map, context->input(i), &map));
      TF_RETURN_IF_ERROR(context->WithRank(context->input(4), 3, &map));
      TF_RETURN_IF_ERROR(context->WithRank(context->input(5), 1, &map));
      for (int i = 0; i < 4; ++i) {
        context->set_output(i, context->Vector(tf::shape_inference::InferenceContext::kUnknownDim));
      }
      return tf::OkStatus();
    })
    .Doc("Adds up over the pixels of each instance of one prediction [height, width].");

class InstanceSumsOp : public tf::OpKernel {
 public:
  explicit InstanceSumsOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES_OK(context, ReadAttribute(context, "label_divisor", 1, kMax, &label_divisor_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& panoptic = context->input(0);
    for (int i = 0; i < 4; ++i) {
      const tf::TensorShape& shape = context->input(i).shape();
      OP_REQUIRES(context, shape.dims() == 2 && shape == panoptic.shape(),
                  tf::errors::InvalidArgument("maps ", panoptic.shape().DebugString(), " and ", shape.DebugString(),
                                              " must all be [height, width]"));
    }
    const tf::Tensor& probability = context->input(4);
    OP_REQUIRES(context, probability.dims() == 3 && probability.NumElements() > 0,
                tf::errors::InvalidArgument("probability ", probability.shape().DebugString(),
                                            " must be [height, width, classes], and not empty"));
    const tf::Tensor& is_thing = context->input(5);
    OP_REQUIRES(context, is_thing.dims() == 1, tf::errors::InvalidArgument("is_thing must be a vector"));
    const InstanceSums sums = AddUpInstances(
        {panoptic.flat<int32_t>().data(), context->input(1).flat<int32_t>().data(),
         context->input(2).flat<int32_t>().data(), context->input(3).flat<float>().data(), panoptic.dim_size(0),
         panoptic.dim_size(1)},
        {probability.flat<float>().data(), probability.dim_size(0), probability.dim_size(1), probability.dim_size(2)},
        {is_thing.flat<bool>().data(), is_thing.NumElements()}, label_divisor_);
    Write(context, 0, sums.ids);
    Write(context, 1, sums.pixels);
    Write(context, 2, sums.probability);
    Write(context, 3, sums.score);
  }

 private:
  template <typename Number>
  static void Write(tf::OpKernelContext* context, int output, const std::vector<Number>& numbers) {
    tf::Tensor* tensor = nullptr;
    const int64_t size = numbers.size();
    OP_REQUIRES_OK(context, context->allocate_output(output, tf::TensorShape({size}), &tensor));
    std::copy(numbers.begin(), numbers.end(), tensor->flat<Number>().data());
  }

  int32_t label_divisor_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeInstanceSums").Device(tf::DEVICE_CPU), InstanceSumsOp);

}  // namespace
}  // namespace panpipe
