// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over depthwise.h.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "attributes.h"
#include "depthwise.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

// So many whatever the number of threads, lest the order of additions depend on it.
constexpr int64_t kBandsOfABatch = 16;

REGISTER_OP("PanpipeDepthwiseKernelGradient")
    .Input("image: float")
    .Input("gradient: float")
    .Output("kernel_gradient: float")
    .Attr("size: int")
    .Attr("stride: int")
    .Attr("top: int")
    .Attr("left: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle image, gradient;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &image));
      TF_RETURN_IF_ERROR(context->WithRank(context->input(1), 4, &gradient));
      int64_t size;
      TF_RETURN_IF_ERROR(context->GetAttr("size", &size));
      context->set_output(0, context->MakeShape({size, size, context->Dim(image, 3), 1}));
      return tf::OkStatus();
    })
    .Doc("Computes the gradient of a depthwise convolution by its kernel [size, size, channels, 1].");

class DepthwiseKernelGradientOp : public tf::OpKernel {
 public:
  explicit DepthwiseKernelGradientOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES_OK(context, ReadAttribute(context, "size", 3, 5, &size_));
    OP_REQUIRES(context, size_ != 4, tf::errors::InvalidArgument("size is 4; it must be 3 or 5"));
    OP_REQUIRES_OK(context, ReadAttribute(context, "stride", 1, kMax, &stride_));
    OP_REQUIRES_OK(context, ReadAttribute(context, "top", 0, kMax, &top_));
    OP_REQUIRES_OK(context, ReadAttribute(context, "left", 0, kMax, &left_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& image = context->input(0);
    const tf::Tensor& gradient = context->input(1);
    OP_REQUIRES(context,
                image.dims() == 4 && gradient.dims() == 4 && image.dim_size(0) == gradient.dim_size(0) &&
                    image.dim_size(3) == gradient.dim_size(3),
                tf::errors::InvalidArgument("image ", image.shape().DebugString(), " and gradient ",
                                            gradient.shape().DebugString(),
                                            " must be [batch, height, width, channels], batch and channels alike"));
    const Depthwise shape = {image.dim_size(1),    image.dim_size(2), gradient.dim_size(1),
                             gradient.dim_size(2), image.dim_size(3), stride_,
                             top_,                 left_};
    tf::Tensor* sums;
    OP_REQUIRES_OK(context, context->allocate_output(0, {size_, size_, shape.channels, 1}, &sums));
    if (size_ == 3) {
      AddUp<3>(context, shape, sums->flat<float>().data());
    } else {
      AddUp<5>(context, shape, sums->flat<float>().data());
    }
  }

 private:
  template <int kSize>
  static void AddUp(tf::OpKernelContext* context, const Depthwise& shape, float* total) {
    const float* image = context->input(0).flat<float>().data();
    const float* gradient = context->input(1).flat<float>().data();
    const int64_t rows = context->input(0).dim_size(0) * shape.out_height;
    const int64_t num_bands = std::min(rows, kBandsOfABatch), num_sums = kSize * kSize * shape.channels;
    std::vector<float> sums(num_bands * num_sums);
    const TapSums<kSize> taps(shape);
    const int64_t cost = kSize * kSize * shape.channels * shape.out_width * rows / std::max<int64_t>(num_bands, 1) / 8;
    Bands(context).ForEach(num_bands, cost, [&](int64_t band) {
      const int64_t end = rows * (band + 1) / num_bands;
      for (int64_t row = rows * band / num_bands; row < end;) {
        const int64_t number = row / shape.out_height, first = row % shape.out_height;
        const int64_t count = std::min(end - row, shape.out_height - first);
        taps.Add(image + number * shape.height * shape.width * shape.channels,
                 gradient + number * shape.out_height * shape.out_width * shape.channels, first, first + count,
                 sums.data() + band * num_sums);
        row += count;
      }
    });
    std::fill_n(total, num_sums, 0.0f);
    for (int64_t i = 0; i < num_bands * num_sums; ++i) total[i % num_sums] += sums[i];
  }

  int32_t size_, stride_, top_, left_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeDepthwiseKernelGradient").Device(tf::DEVICE_CPU), DepthwiseKernelGradientOp);

}  // namespace
}  // namespace panpipe
