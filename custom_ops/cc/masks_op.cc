// SPDX-License-Identifier: Apache-2.0
// The TensorFlow ops over masks.h and mask_confidence.h.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "attributes.h"
#include "heads_inputs.h"
#include "mask_confidence.h"
#include "mask_kernels.h"
#include "masks.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

constexpr int64_t kCost = 50;  // nanoseconds a pixel
constexpr int64_t kBandsPerThread = 4;

REGISTER_OP("PanpipePanopticFromMasks")
    .Input("mask_logits: float")
    .Input("label: int32")
    .Input("number: int32")
    .Input("is_thing: bool")
    .Input("is_alive: bool")
    .Input("may_paste: bool")
    .Input("size: int32")
    .Output("panoptic: int32")
    .Output("semantic: int32")
    .Output("instance: int32")
    .Output("score: float")
    .Attr("is_maskwise: bool")
    .Attr("pixel_threshold: float")
    .Attr("overlap_threshold: float")
    .Attr("thing_area_limit: int")
    .Attr("stuff_area_limit: int")
    .Attr("label_divisor: int")
    .Attr("void_label: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle logits, facts, size, shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &logits));
      for (int i = 1; i < 6; ++i) TF_RETURN_IF_ERROR(context->WithRank(context->input(i), 2, &facts));
      TF_RETURN_IF_ERROR(context->MakeShapeFromShapeTensor(6, &size));
      TF_RETURN_IF_ERROR(context->Concatenate(context->Vector(context->Dim(logits, 0)), size, &shape));
      for (int i = 0; i < 4; ++i) context->set_output(i, shape);
      return tf::OkStatus();
    })
    .Doc("Makes a prediction [batch, *size] of mask logits [batch, height, width, slots] and facts [batch, slots].");

REGISTER_OP("PanpipeMaskConfidences")
    .Input("mask_logits: float")
    .Output("confidence: float")
    .Attr("pixel_threshold: float")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle logits;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 4, &logits));
      context->set_output(0, context->Matrix(context->Dim(logits, 0), context->Dim(logits, 3)));
      return tf::OkStatus();
    })
    .Doc("Averages the probabilities of slots where they exceed a threshold.");

tf::Status CheckLogits(const tf::Tensor& logits) {
  if (logits.dims() == 4 && logits.dim_size(1) > 0 && logits.dim_size(2) > 0 && logits.dim_size(3) > 0) {
    return tf::OkStatus();
  }
  return tf::errors::InvalidArgument("mask_logits ", logits.shape().DebugString(),
                                     " must be [batch, height, width, slots], and not empty");
}

class MasksOp : public tf::OpKernel {
 public:
  explicit MasksOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES_OK(context, context->GetAttr("is_maskwise", &rules_.is_maskwise));
    OP_REQUIRES_OK(context, context->GetAttr("pixel_threshold", &rules_.pixel_threshold));
    OP_REQUIRES_OK(context, context->GetAttr("overlap_threshold", &rules_.overlap_threshold));
    OP_REQUIRES_OK(context, context->GetAttr("thing_area_limit", &rules_.thing_area_limit));
    OP_REQUIRES_OK(context, context->GetAttr("stuff_area_limit", &rules_.stuff_area_limit));
    OP_REQUIRES_OK(context, ReadAttribute(context, "label_divisor", 1, kMax, &rules_.label_divisor));
    OP_REQUIRES_OK(context, ReadAttribute(context, "void_label", 0, LargestLabel(), &rules_.void_label));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& logits = context->input(0);
    OP_REQUIRES_OK(context, CheckLogits(logits));
    OP_REQUIRES_OK(context, CheckFacts(context));
    int64_t height, width;
    OP_REQUIRES_OK(context, ReadSize(context, 6, &height, &width));
    tf::Tensor* maps[4];
    OP_REQUIRES_OK(context, AllocateMaps(context, height, width, maps));
    for (const tf::Tensor* map : maps) PreferLargePages(*map);
    const Bands threads(context);
    const int64_t num_bands = std::min(threads.Count(height * width, kBandsPerThread), height);
    const auto for_each = [&](int64_t n, const std::function<void(int64_t)>& work) {
      threads.ForEach(n, kCost * height * width / n, work);
    };
    const int64_t pixels = logits.dim_size(1) * logits.dim_size(2), slots = logits.dim_size(3);
    for (int64_t image = 0; image < logits.dim_size(0); ++image) {
      const MaskMaps masks = {logits.flat<float>().data() + image * pixels * slots, logits.dim_size(1),
                              logits.dim_size(2), slots};
      const auto flags = [&](int i) { return context->input(i).flat<bool>().data() + image * slots; };
      const auto numbers = [&](int i) { return context->input(i).flat<int32_t>().data() + image * slots; };
      const SlotFacts facts = {numbers(1), numbers(2), flags(3), flags(4), flags(5), slots};
      const PredictionMaps prediction = PredictionAt(maps, image);
      MasksOfImage(masks, facts, rules_, prediction).Predict(num_bands, for_each);
    }
  }

 private:
  int64_t LargestLabel() const { return (int64_t{1} << 31) / rules_.label_divisor - 1; }

  tf::Status CheckFacts(tf::OpKernelContext* context) const {
    const int64_t batch = context->input(0).dim_size(0), slots = context->input(0).dim_size(3);
    const tf::TensorShape shape({batch, slots});
    for (int i = 1; i < 6; ++i) {
      if (context->input(i).shape() == shape) continue;
      return tf::errors::InvalidArgument("input ", i, " is ", context->input(i).shape().DebugString(), "; of ", slots,
                                         " slots it must be ", shape.DebugString());
    }
    std::vector<bool> is_taken(batch * slots);
    for (int64_t i = 0; i < batch * slots; ++i) {
      const int32_t label = context->input(1).flat<int32_t>()(i), number = context->input(2).flat<int32_t>()(i);
      if (label < 0 || label > LargestLabel()) {
        return tf::errors::InvalidArgument("a label is ", label, "; it must be 0 .. ", LargestLabel());
      }
      const int64_t place = i / slots * slots + number - 1;
      if (number < 1 || number > slots || number >= rules_.label_divisor || is_taken[place]) {
        return tf::errors::InvalidArgument("slots must have the numbers 1 .. ", slots,
                                           ", each once, below label_divisor ", rules_.label_divisor);
      }
      is_taken[place] = true;
    }
    return tf::OkStatus();
  }

  MaskRules rules_;
};

class MaskConfidencesOp : public tf::OpKernel {
 public:
  explicit MaskConfidencesOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("pixel_threshold", &threshold_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& logits = context->input(0);
    OP_REQUIRES_OK(context, CheckLogits(logits));
    const int64_t batch = logits.dim_size(0), slots = logits.dim_size(3);
    const int64_t pixels = logits.dim_size(1) * logits.dim_size(2);
    tf::Tensor* confidence = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, tf::TensorShape({batch, slots}), &confidence));
    const Bands threads(context);
    const int64_t num_bands = std::min(threads.Count(pixels * slots, kBandsPerThread), pixels);
    for (int64_t image = 0; image < batch; ++image) {
      const float* from = logits.flat<float>().data() + image * pixels * slots;
      std::vector<ConfidenceSums> sums(num_bands, ConfidenceSums(slots));
      threads.ForEach(num_bands, pixels * slots / num_bands, [&](int64_t i) {
        AddConfidences(from, slots, i * pixels / num_bands, (i + 1) * pixels / num_bands, threshold_, &sums[i]);
      });
      for (int64_t i = 1; i < num_bands; ++i) sums[0].Add(sums[i]);
      for (int64_t k = 0; k < slots; ++k) confidence->flat<float>()(image * slots + k) = sums[0].Mean(k);
    }
  }

 private:
  float threshold_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipePanopticFromMasks").Device(tf::DEVICE_CPU), MasksOp);
REGISTER_KERNEL_BUILDER(Name("PanpipeMaskConfidences").Device(tf::DEVICE_CPU), MaskConfidencesOp);

}  // namespace
}  // namespace panpipe
