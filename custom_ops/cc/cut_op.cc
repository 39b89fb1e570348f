// SPDX-License-Identifier: Apache-2.0
// The TensorFlow ops over cutting.h.
#include <cstdint>
#include <vector>

#include "attributes.h"
#include "cutting.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

constexpr int64_t kCost = 5;  // nanoseconds a pixel

tf::Status CropShape(tf::shape_inference::InferenceContext* context) {
  std::vector<int64_t> crop;
  TF_RETURN_IF_ERROR(context->GetAttr("crop_size", &crop));
  if (crop.size() != 2) return tf::errors::InvalidArgument("crop_size must be [height, width]");
  if (context->RankKnown(context->input(0)) && context->Rank(context->input(0)) == 3) {
    context->set_output(0, context->MakeShape({crop[0], crop[1], 3}));
  } else {
    context->set_output(0, context->MakeShape({crop[0], crop[1]}));
  }
  return tf::OkStatus();
}

REGISTER_OP("PanpipeCutImage")
    .Input("image: T")
    .Input("scaled: int32")
    .Input("start: int32")
    .Input("visible: int32")
    .Input("offset: int32")
    .Input("is_flipped: bool")
    .Output("crop: float")
    .Attr("T: {uint8, float}")
    .Attr("crop_size: list(int)")
    .Attr("padding: float")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &shape));
      return CropShape(context);
    })
    .Doc("Scales, crops, pads and flips an image [height, width, 3].");

REGISTER_OP("PanpipeCutLabel")
    .Input("label: int32")
    .Input("scaled: int32")
    .Input("start: int32")
    .Input("visible: int32")
    .Input("offset: int32")
    .Input("is_flipped: bool")
    .Output("crop: int32")
    .Attr("crop_size: list(int)")
    .Attr("padding: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 2, &shape));
      return CropShape(context);
    })
    .Doc("Scales, crops, pads and flips a label map [height, width] like its image.");

// What both ops do: read the window, and write the crop row by row.
class CutOp : public tf::OpKernel {
 public:
  explicit CutOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    std::vector<int64_t> crop;
    OP_REQUIRES_OK(context, context->GetAttr("crop_size", &crop));
    OP_REQUIRES(context, crop.size() == 2 && crop[0] > 0 && crop[1] > 0,
                tf::errors::InvalidArgument("crop_size must be [height, width], both positive"));
    crop_ = {crop[0], crop[1]};
  }

 protected:
  tf::Status ReadWindow(tf::OpKernelContext* context, Window* window) const {
    Size* const sizes[] = {&window->scaled, &window->start, &window->visible, &window->offset};
    for (int i = 0; i < 4; ++i) {
      const tf::Tensor& input = context->input(i + 1);
      if (input.NumElements() != 2) return tf::errors::InvalidArgument("a window's sizes must be [height, width]");
      *sizes[i] = {input.flat<int32_t>()(0), input.flat<int32_t>()(1)};
    }
    if (context->input(5).NumElements() != 1) return tf::errors::InvalidArgument("is_flipped must be a scalar");
    window->is_flipped = context->input(5).flat<bool>()(0);
    window->crop = crop_;
    const tf::TensorShape& shape = context->input(0).shape();
    if (shape.num_elements() == 0 || !Fits(window->scaled.y, window->start.y, window->visible.y, window->offset.y,
                                           crop_.y) ||
        !Fits(window->scaled.x, window->start.x, window->visible.x, window->offset.x, crop_.x)) {
      return tf::errors::InvalidArgument("the window lies outside the scaled image or the crop, or ",
                                         shape.DebugString(), " is empty");
    }
    return tf::OkStatus();
  }

  static Size SizeOf(const tf::Tensor& map) { return {map.dim_size(0), map.dim_size(1)}; }

  // Calls cutter.Write for all rows; each band of rows has its own copy of the cutter.
  template <typename Cutter, typename Value>
  void Cut(tf::OpKernelContext* context, const Cutter& cutter, int64_t channels, Value* out) const {
    const Bands threads(context);
    const int64_t bands = std::min(threads.Count(crop_.y * crop_.x, 1), crop_.y);
    threads.ForEach(bands, kCost * crop_.y * crop_.x / bands, [&](int64_t band) {
      Cutter own = cutter;
      for (int64_t y = band * crop_.y / bands; y < (band + 1) * crop_.y / bands; ++y) {
        own.Write(y, out + y * crop_.x * channels);
      }
    });
  }

  Size crop_;

 private:
  static bool Fits(int64_t scaled, int64_t start, int64_t visible, int64_t offset, int64_t crop) {
    return scaled > 0 && start >= 0 && visible >= 0 && offset >= 0 && start + visible <= scaled &&
           offset + visible <= crop;
  }
};

template <typename Value>
class CutImageOp : public CutOp {
 public:
  explicit CutImageOp(tf::OpKernelConstruction* context) : CutOp(context) {
    OP_REQUIRES_OK(context, context->GetAttr("padding", &padding_));
  }

  void Compute(tf::OpKernelContext* context) override {
    using Cutter = ImageCutter<Value>;
    const tf::Tensor& image = context->input(0);
    OP_REQUIRES(context, image.dims() == 3 && image.dim_size(2) == Cutter::kChannels,
                tf::errors::InvalidArgument("image ", image.shape().DebugString(), " must be [height, width, 3]"));
    Window window;
    OP_REQUIRES_OK(context, ReadWindow(context, &window));
    tf::Tensor* crop = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {crop_.y, crop_.x, Cutter::kChannels}, &crop));
    PreferLargePages(*crop);
    const Cutter cutter(image.flat<Value>().data(), SizeOf(image), window, padding_);
    Cut(context, cutter, Cutter::kChannels, crop->flat<float>().data());
  }

 private:
  float padding_;
};

class CutLabelOp : public CutOp {
 public:
  explicit CutLabelOp(tf::OpKernelConstruction* context) : CutOp(context) {
    constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
    OP_REQUIRES_OK(context, ReadAttribute(context, "padding", -kMax - 1, kMax, &padding_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& label = context->input(0);
    OP_REQUIRES(context, label.dims() == 2,
                tf::errors::InvalidArgument("label ", label.shape().DebugString(), " must be [height, width]"));
    Window window;
    OP_REQUIRES_OK(context, ReadWindow(context, &window));
    tf::Tensor* crop = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {crop_.y, crop_.x}, &crop));
    PreferLargePages(*crop);
    const LabelCutter cutter(label.flat<int32_t>().data(), SizeOf(label), window, padding_);
    Cut(context, cutter, 1, crop->flat<int32_t>().data());
  }

 private:
  int32_t padding_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeCutImage").Device(tf::DEVICE_CPU).TypeConstraint<uint8_t>("T"),
                        CutImageOp<uint8_t>);
REGISTER_KERNEL_BUILDER(Name("PanpipeCutImage").Device(tf::DEVICE_CPU).TypeConstraint<float>("T"), CutImageOp<float>);
REGISTER_KERNEL_BUILDER(Name("PanpipeCutLabel").Device(tf::DEVICE_CPU), CutLabelOp);

}  // namespace
}  // namespace panpipe
