// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over grouping.h.
#include <cstdint>
#include <vector>

#include "attributes.h"
#include "centers.h"
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
      Group(Bands(context), peaks.dim_size(1), peaks.dim_size(2), peaks.flat<float>().data() + i * pixels,
            offset.flat<float>().data() + 2 * i * pixels, is_thing.flat<bool>().data() + i * pixels,
            instance->flat<int32_t>().data() + i * pixels, score->flat<float>().data() + i * pixels);
    }
  }

 private:
  void Group(const Bands& threads, int64_t height, int64_t width, const float* peaks, const float* offset,
             const bool* is_thing, int32_t* instance, float* score) const {
    std::vector<Center> centers;
    FindPeaks(peaks, height, width, kPositive, 0, height, &centers);
    KeepStrongest(keep_k_, &centers);
    const NearestCenter nearest(centers, height, width);
    const CenterLists lists = nearest.lists();
    threads.ForEach(height, kCost * width, [&](int64_t y) {
      const int64_t row = y * width;
      std::fill_n(instance + row, width, 0);
      std::fill_n(score + row, width, 0.0f);
      for (int64_t x = 0; x < width && lists.num_centers > 0; ++x) {
        if (is_thing[row + x]) GroupRun(lists, y, x, x + 1, offset + 2 * row, instance + row, score + row);
      }
    });
  }

  int64_t keep_k_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeGroup").Device(tf::DEVICE_CPU), GroupOp);

}  // namespace
}  // namespace panpipe
