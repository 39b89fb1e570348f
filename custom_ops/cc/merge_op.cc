// SPDX-License-Identifier: Apache-2.0
// The TensorFlow op over merge.h.
#include <cstdint>
#include <functional>
#include <vector>

#include "attributes.h"
#include "maps_inputs.h"
#include "merge.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace panpipe {
namespace {

namespace tf = ::tensorflow;

REGISTER_OP("PanpipeMerge")
    .Input("semantic: int32")
    .Input("instance: int32")
    .Output("panoptic: int32")
    .Attr("thing_ids: list(int)")
    .Attr("label_divisor: int")
    .Attr("stuff_area_limit: int")
    .Attr("void_label: int")
    .SetShapeFn([](tf::shape_inference::InferenceContext* context) {
      tf::shape_inference::ShapeHandle shape;
      TF_RETURN_IF_ERROR(context->WithRank(context->input(0), 3, &shape));
      TF_RETURN_IF_ERROR(context->Merge(shape, context->input(1), &shape));
      context->set_output(0, shape);
      return tf::OkStatus();
    })
    .Doc("Merges a semantic and an instance map [batch, height, width] into panoptic ids.");

class MergeOp : public tf::OpKernel {
 public:
  explicit MergeOp(tf::OpKernelConstruction* context) : tf::OpKernel(context) {
    OP_REQUIRES_OK(context, ReadRules(context, &rules_));
  }

  void Compute(tf::OpKernelContext* context) override {
    const tf::Tensor& semantic = context->input(0);
    const tf::Tensor& instance = context->input(1);
    OP_REQUIRES_OK(context, CheckMaps(context));
    tf::Tensor* panoptic = nullptr;
    // An input that nobody else will read lends its memory: it has been read when the first id is written.
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0, 1}, 0, semantic.shape(), &panoptic));
    PreferLargePages(*panoptic);
    if (semantic.NumElements() == 0) return;
    Merge(context, semantic.flat<int32_t>().data(), instance.flat<int32_t>().data(), semantic.dim_size(0),
          semantic.dim_size(1) * semantic.dim_size(2), panoptic->flat<int32_t>().data());
  }

 private:
  void Merge(tf::OpKernelContext* context, const int32_t* semantic, const int32_t* instance, int64_t images,
             int64_t pixels, int32_t* panoptic) const {
    const Bands threads(context);
    const int64_t bands_per_image = threads.Count(pixels, 1);
    std::vector<Band> bands(images * bands_per_image);
    // The first pixel of a band; that of the next one is its end.
    const auto first_pixel = [=](int64_t band) {
      return band / bands_per_image * pixels + band % bands_per_image * pixels / bands_per_image;
    };
    const auto for_each_band = [&](const std::function<void(int64_t)>& work) {
      threads.ForEach(bands.size(), pixels / bands_per_image, work);
    };
    for_each_band([&](int64_t i) { ReadBand(semantic, instance, first_pixel(i), first_pixel(i + 1), &bands[i]); });
    int32_t label;
    OP_REQUIRES(context, !FindBadLabel(bands.data(), bands.data() + bands.size(), rules_, &label),
                BadLabel(label, rules_));
    for (Band* image = bands.data(); image != bands.data() + bands.size(); image += bands_per_image) {
      NumberSegments(image, image + bands_per_image, rules_);
    }
    for_each_band([&](int64_t i) { WriteBand(bands[i], first_pixel(i + 1) - first_pixel(i), panoptic + first_pixel(i)); });
  }

  MergeRules rules_;
};

REGISTER_KERNEL_BUILDER(Name("PanpipeMerge").Device(tf::DEVICE_CPU), MergeOp);

}  // namespace
}  // namespace panpipe
