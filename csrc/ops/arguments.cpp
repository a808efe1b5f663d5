#include "arguments.h"

namespace sma {

Dtype dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return Dtype::f32;
    case at::kDouble:
      return Dtype::f64;
    case at::kBFloat16:
      return Dtype::bf16;
    case at::kHalf:
      return Dtype::f16;
    default:
      TORCH_CHECK_TYPE(false, "dtype ", type, " is not float32, float64, bfloat16 or float16");
  }
}

at::ScalarType wide_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

namespace {

Merge merge_of(std::string_view name) {
  if (name == "max") return Merge::max;
  if (name == "mean") return Merge::mean;
  TORCH_CHECK_VALUE(name == "none", "merge must be 'max', 'mean' or 'none'; got '", name, "'");
  return Merge::none;
}

Activation activation_of(std::string_view name) {
  if (name == "softmax") return Activation::softmax;
  TORCH_CHECK_VALUE(name == "sigmoid", "activation must be 'softmax' or 'sigmoid'; got '", name, "'");
  return Activation::sigmoid;
}

int64_t position_stride(const at::Tensor& x) { return x.size(3) > 1 ? x.stride(3) : x.stride(2); }

// Height and width run as one axis, and positions or channels are contiguous.
bool readable(const at::Tensor& x) {
  const bool one_axis = x.size(2) == 1 || x.size(3) == 1 || x.stride(2) == x.size(3) * x.stride(3);
  const bool trivial = x.size(1) == 1 || x.size(2) * x.size(3) == 1;
  return one_axis && (trivial || position_stride(x) == 1 || x.stride(1) == 1);
}

FeatureMap view_of(const at::Tensor& x) {
  FeatureMap map{x.data_ptr(), x.stride(0), x.stride(1), position_stride(x)};
  // Strides of axes of size 1 mean nothing: choose ones that leave an inner stride of 1.
  if (x.size(2) * x.size(3) == 1) map.position_stride = 1;
  if (x.size(1) == 1 && map.position_stride != 1) map.channel_stride = 1;
  return map;
}

bool floating(at::ScalarType type) {
  return type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf;
}

// A storage may be freed or cut short under its tensors: FSDP frees parameters so. Their pointers tell nothing, and a
// null one would pass for an argument that is not there.
void expect_memory(const char* name, const at::Tensor& tensor) {
  if (tensor.numel() == 0) return;
  int64_t last = tensor.storage_offset();
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) last += (tensor.size(axis) - 1) * tensor.stride(axis);
  const size_t needed = static_cast<size_t>(last + 1) * tensor.element_size(), held = tensor.storage().nbytes();
  TORCH_CHECK(needed <= held, name, " must have memory for ", needed, " bytes; got a storage of ", held,
              " bytes, freed or resized under it");
}

// A size of -1 is any but 0; the batch, which comes first in what has one, may be 0.
void expect_axes(const char* name, const at::Tensor& tensor, const char* axes, int64_t dimensions, bool batch) {
  TORCH_CHECK_VALUE(tensor.dim() == dimensions, name, " must have the dimensions ", axes, "; got ", tensor.sizes());
  for (int64_t axis = batch; axis < dimensions; ++axis)
    TORCH_CHECK_VALUE(tensor.size(axis) > 0, name, " must not be empty along an axis of ", axes, "; got ",
                      tensor.sizes());
  TORCH_CHECK_TYPE(floating(tensor.scalar_type()), name, " must be float32, bfloat16, float16 or float64; got ",
                   tensor.scalar_type());
  expect_memory(name, tensor);
}

void expect_parameter(const char* name, const OptionalTensor& tensor, at::IntArrayRef sizes, const Call& call) {
  if (!tensor) return;
  const at::Device device = call.options().device();
  TORCH_CHECK_VALUE(tensor->sizes() == sizes, name, " must have shape ", sizes, "; got ", tensor->sizes());
  TORCH_CHECK_TYPE(tensor->scalar_type() == call.wide || tensor->scalar_type() == call.type, name, " must be ",
                   call.wide, " or ", call.type, "; got ", tensor->scalar_type());
  TORCH_CHECK_VALUE(tensor->device() == device, name, " must be on ", device, "; it is on ", tensor->device());
  expect_memory(name, *tensor);
}

// How the forward lays out what it writes; `present` is false where the stage is absent.
struct Layout {
  bool present;
  at::ScalarType type;
  c10::SmallVector<int64_t, 5> sizes;
};

// pooled, attention, maps, diversity, correlation, attention_sum, winner.
std::array<Layout, 7> output_layouts(const Call& call) {
  const Shape& s = call.shape;
  const bool none = call.inputs.merge == Merge::none, pools = s.values > 0;
  auto sized = [&](std::initializer_list<int64_t> tail, bool per_channel) {
    c10::SmallVector<int64_t, 5> sizes{s.batch, s.regions};
    if (per_channel) sizes.push_back(s.channels);
    sizes.append(tail.begin(), tail.end());
    return sizes;
  };
  const int64_t h = call.height(), w = call.width();
  return {{{pools, call.type, sized({s.values}, none)},
           {call.inputs.correlate || (pools && !none), call.type, sized({h, w}, none)},
           {s.embed > 0, call.type, sized({h, w}, true)},
           {call.inputs.diversify, call.wide, {s.batch}},
           {call.inputs.correlate, call.wide, {s.batch, s.maps(), s.maps()}},
           {pools, call.wide, sized({}, none)},
           {pools && call.inputs.merge == Merge::max, at::kByte, sized({h, w}, false)}}};
}

void expect_result(const char* name, const OptionalTensor& tensor, const Layout& layout, at::Device device,
                   bool required) {
  if (!tensor || !tensor->defined()) {
    TORCH_CHECK_VALUE(!required || !layout.present, name, " must be there: its stage runs in this call");
    return;
  }
  TORCH_CHECK_VALUE(layout.present, name, " must be None: its stage does not run in this call");
  TORCH_CHECK_VALUE(tensor->sizes() == at::IntArrayRef(layout.sizes) && tensor->scalar_type() == layout.type &&
                        tensor->device() == device,
                    name, " must be ", layout.type, " ", at::IntArrayRef(layout.sizes), " on ", device, "; got ",
                    tensor->scalar_type(), " ", tensor->sizes(), " on ", tensor->device());
  expect_memory(name, *tensor);
}

}  // namespace

void check_arrived(const Call& call, const FiveTensors& cotangents, const FiveTensors& saved) {
  const auto layouts = output_layouts(call);
  const at::Device device = call.options().device();
  const char* outputs[] = {"grad_pooled", "grad_attention", "grad_maps", "grad_diversity", "grad_correlation"};
  for (size_t i = 0; i < 5; ++i) expect_result(outputs[i], cotangents[i], layouts[i], device, false);
  const char* kept[] = {"saved_attention", "saved_maps", "saved_correlation", "saved_attention_sum", "saved_winner"};
  const size_t from[] = {1, 2, 4, 5, 6};
  for (size_t i = 0; i < 5; ++i) expect_result(kept[i], saved[i], layouts[from[i]], device, true);
}

Call::Call(const HeadArguments& a) {
  TORCH_CHECK_VALUE(a.features.has_value() != a.maps.has_value(), "expected features or maps, not both");
  const at::Tensor& grid = a.features ? *a.features : *a.maps;
  if (a.features)
    expect_axes("features", grid, "[B,G*D,H,W]", 4, true);
  else
    expect_axes("maps", grid, "[B,R,K,H,W]", 5, true);
  options_ = grid.options();
  type = grid.scalar_type();
  wide = wide_type(type);
  height_ = grid.size(-2);
  width_ = grid.size(-1);
  shape.batch = grid.size(0);
  shape.positions = height_ * width_;
  if (a.features) {
    const at::Tensor& weight = a.weight.value();
    expect_axes("weight", weight, "[R,K,D]", 3, false);
    expect_parameter("weight", a.weight, weight.sizes(), *this);
    shape.regions = weight.size(0);
    shape.channels = weight.size(1);
    shape.embed = weight.size(2);
    shape.groups = grid.size(1) / shape.embed;
    TORCH_CHECK_VALUE(grid.size(1) % shape.embed == 0 && (shape.groups == 1 || shape.groups == shape.channels),
                      "features have ", grid.size(1), " channels; expected D or K*D of weight ", weight.sizes());
    inputs.features = feature_map(grid);
    expect_parameter("bias", a.bias, {shape.regions, shape.channels}, *this);
    inputs.weight = parameter(a.weight);
    inputs.bias = parameter(a.bias);
  } else {
    shape.regions = grid.size(1);
    shape.channels = grid.size(2);
    held_.push_back(grid.contiguous());
    inputs.maps = held_.back().data_ptr();
  }
  if (a.values) {
    expect_axes("values", *a.values, "[B,C,H,W]", 4, true);
    TORCH_CHECK_VALUE(a.values->size(0) == shape.batch && a.values->size(2) == height_ && a.values->size(3) == width_ &&
                          a.values->scalar_type() == type && a.values->device() == grid.device(),
                      "values must agree with the maps in batch, height, width, dtype and device");
    shape.values = a.values->size(1);
    inputs.values = feature_map(*a.values);
  }
  expect_parameter("relation_bias", a.relation_bias, {shape.maps(), shape.maps()}, *this);
  expect_parameter("temperature", a.temperature_tensor, {}, *this);
  expect_parameter("gate", a.gate_tensor, {}, *this);
  inputs.relation_bias = parameter(a.relation_bias);
  inputs.temperature = scalar(a.temperature, a.temperature_tensor);
  inputs.gate = scalar(a.gate, a.gate_tensor);
  inputs.activation = activation_of(a.activation);
  inputs.merge = merge_of(a.merge);
  TORCH_CHECK_VALUE(!a.values || inputs.merge != Merge::max || shape.channels <= 256,
                    "merge 'max' keeps the winner as one byte: at most 256 channels; got ", shape.channels);
  inputs.margin = a.margin;
  inputs.diversify = a.diversify;
  inputs.correlate = a.correlate;
}

FeatureMap Call::feature_map(const at::Tensor& tensor) {
  held_.push_back(readable(tensor) ? tensor : tensor.contiguous());
  return view_of(held_.back());
}

const void* Call::parameter(const OptionalTensor& tensor) {
  if (!tensor) return nullptr;
  held_.push_back(tensor->to(wide).contiguous());
  return held_.back().data_ptr();
}

Scalar Call::scalar(double value, const OptionalTensor& tensor) { return {parameter(tensor), value}; }

AllocatedOutputs::AllocatedOutputs(const Call& call) : pointers{} {
  const auto layouts = output_layouts(call);
  auto allocate = [&](size_t index) {
    const Layout& layout = layouts[index];
    return layout.present ? at::empty(at::IntArrayRef(layout.sizes), call.options().dtype(layout.type)) : at::Tensor();
  };
  tensors = {allocate(0), allocate(1), allocate(2), allocate(3), allocate(4), allocate(5), allocate(6)};
  auto& [pooled, attention, maps, diversity, correlation, sum, winner] = tensors;
  auto pointer = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; };
  pointers = {pointer(pooled),
              pointer(attention),
              pointer(maps),
              pointer(diversity),
              pointer(correlation),
              pointer(sum),
              static_cast<uint8_t*>(pointer(winner))};
}

GradientTensors::GradientTensors(const HeadArguments& a, const Call& call, at::ArrayRef<bool> needs) {
  TORCH_CHECK_VALUE(needs.size() == 8, "needs must hold 8 flags; got ", needs.size());
  pointers.values = feature_gradient(0, a.values, needs[0]);
  pointers.features = feature_gradient(1, a.features, needs[1]);
  if (needs[2] && a.maps) {
    returned_[2] = at::empty_like(*a.maps);
    written_[2] = returned_[2].is_contiguous() ? returned_[2] : at::empty(a.maps->sizes(), call.options());
    pointers.maps = written_[2].data_ptr();
  }
  pointers.weight = wide_gradient(3, a.weight, needs[3], call.wide);
  pointers.bias = wide_gradient(4, a.bias, needs[4], call.wide);
  pointers.temperature = wide_gradient(5, a.temperature_tensor, needs[5], call.wide);
  pointers.gate = wide_gradient(6, a.gate_tensor, needs[6], call.wide);
  pointers.relation_bias = wide_gradient(7, a.relation_bias, needs[7], call.wide);
}

FeatureMap GradientTensors::feature_gradient(int index, const OptionalTensor& input, bool needed) {
  if (!needed || !input) return {};
  returned_[index] = at::empty_like(*input);
  written_[index] = readable(returned_[index]) ? returned_[index] : at::empty(input->sizes(), input->options());
  return view_of(written_[index]);
}

void* GradientTensors::wide_gradient(int index, const OptionalTensor& input, bool needed, at::ScalarType wide) {
  if (!needed || !input) return nullptr;
  returned_[index] = at::empty_like(*input);
  const bool direct = returned_[index].scalar_type() == wide && returned_[index].is_contiguous();
  written_[index] = direct ? returned_[index] : at::empty(input->sizes(), input->options().dtype(wide));
  return written_[index].data_ptr();
}

GradientTuple GradientTensors::result() const {
  for (size_t i = 0; i < returned_.size(); ++i)
    if (returned_[i].defined() && !returned_[i].is_same(written_[i])) at::Tensor(returned_[i]).copy_(written_[i]);
  return {returned_[0], returned_[1], returned_[2], returned_[3],
          returned_[4], returned_[5], returned_[6], returned_[7]};
}

const void* Arrived::pointer(const OptionalTensor& tensor) {
  if (!tensor || !tensor->defined()) return nullptr;
  held_.push_back(tensor->contiguous());
  return held_.back().data_ptr();
}

GradOutputs Arrived::cotangents(const FiveTensors& tensors) {
  const auto& [pooled, attention, maps, diversity, correlation] = tensors;
  return {pointer(pooled), pointer(attention), pointer(maps), pointer(diversity), pointer(correlation)};
}

Saved Arrived::saved(const FiveTensors& tensors, const OptionalTensor& given_maps) {
  const auto& [attention, maps, correlation, attention_sum, winner] = tensors;
  return {pointer(attention ? attention : given_maps), pointer(maps), pointer(correlation), pointer(attention_sum),
          static_cast<const uint8_t*>(pointer(winner))};
}

}  // namespace sma
