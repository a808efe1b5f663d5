#include "args.h"

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

at::ScalarType accum_type(at::ScalarType type) { return type == at::kDouble ? at::kDouble : at::kFloat; }

std::optional<Merge> merge_of(std::string_view name) {
  if (name == "max") return Merge::max;
  if (name == "mean") return Merge::mean;
  return name == "none" ? std::optional(Merge::none) : std::nullopt;
}

std::optional<Activation> activation_of(std::string_view name) {
  if (name == "softmax") return Activation::softmax;
  return name == "sigmoid" ? std::optional(Activation::sigmoid) : std::nullopt;
}

namespace {

int64_t position_stride(const at::Tensor& x) { return x.size(3) > 1 ? x.stride(3) : x.stride(2); }

// Height and width run as one axis, and positions or channels are contiguous.
bool is_readable(const at::Tensor& x) {
  const bool one_axis = x.size(2) == 1 || x.size(3) == 1 || x.stride(2) == x.size(3) * x.stride(3);
  const bool trivial = x.size(1) == 1 || x.size(2) * x.size(3) == 1;
  return one_axis && (trivial || position_stride(x) == 1 || x.stride(1) == 1);
}

FeatureMap view_of(const at::Tensor& x) {
  FeatureMap map{x.data_ptr(), x.stride(0), x.stride(1), position_stride(x)};
  // Strides of axes of size 1 are arbitrary: choose ones that leave an inner stride of 1.
  if (x.size(2) * x.size(3) == 1) map.position_stride = 1;
  if (x.size(1) == 1 && map.position_stride != 1) map.channel_stride = 1;
  return map;
}

// The layout of a result of the forward; `present` is false if the stage is absent.
struct Layout {
  bool present;
  at::ScalarType type;
  c10::SmallVector<int64_t, 5> sizes;
};

// pooled, attention, maps, diversity, correlation, attention_sum, winner.
std::array<Layout, 7> output_layouts(const KernelArgs& call) {
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
           {call.inputs.diversify, call.accum, {s.batch}},
           {call.inputs.correlate, call.accum, {s.batch, s.maps(), s.maps()}},
           {pools, call.accum, sized({}, none)},
           {pools && call.inputs.merge == Merge::max, at::kByte, sized({h, w}, false)}}};
}

void check_result(const char* name, const OptionalTensor& tensor, const Layout& layout, at::Device device,
                  bool required) {
  if (!tensor || !tensor->defined()) {
    TORCH_CHECK_VALUE(!required || !layout.present, name, " must be a tensor: its stage runs in this call; got None");
    return;
  }
  TORCH_CHECK_VALUE(layout.present, name, " must be None: its stage does not run in this call; got a tensor");
  TORCH_CHECK_VALUE(tensor->sizes() == at::IntArrayRef(layout.sizes) && tensor->scalar_type() == layout.type &&
                        tensor->device() == device,
                    name, " must be ", layout.type, " ", at::IntArrayRef(layout.sizes), " on ", device, "; got ",
                    tensor->scalar_type(), " ", tensor->sizes(), " on ", tensor->device());
  if (auto problem = invalid_memory(name, *tensor)) raise(*problem);
}

}  // namespace

// Members are initialized in the order of the schema.
AttentionArgs::AttentionArgs(c10::ArrayRef<c10::IValue> arguments)
    : values(arguments[0].toOptional<at::Tensor>()),
      features(arguments[1].toOptional<at::Tensor>()),
      maps(arguments[2].toOptional<at::Tensor>()),
      weight(arguments[3].toOptional<at::Tensor>()),
      bias(arguments[4].toOptional<at::Tensor>()),
      temperature(arguments[5].toDouble()),
      temperature_tensor(arguments[6].toOptional<at::Tensor>()),
      gate(arguments[7].toDouble()),
      gate_tensor(arguments[8].toOptional<at::Tensor>()),
      relation_bias(arguments[9].toOptional<at::Tensor>()),
      mask(arguments[10].toOptional<at::Tensor>()),
      activation(arguments[11].toStringView()),
      merge(arguments[12].toStringView()),
      margin(arguments[13].toDouble()),
      diversify(arguments[14].toBool()),
      correlate(arguments[15].toBool()) {}

at::Tensor or_placeholder(const at::Tensor& tensor, const at::TensorOptions& options) {
  return tensor.defined() ? tensor : at::empty({0}, options);
}

OptionalTensor unless_placeholder(const at::Tensor& tensor) {
  return tensor.defined() && tensor.dim() != 1 ? OptionalTensor(tensor) : std::nullopt;
}

void check_backward_inputs(const KernelArgs& call, const GradOutputTensors& grad_outputs, const SavedTensors& saved) {
  const auto layouts = output_layouts(call);
  const at::Device device = call.options().device();
  const char* outputs[] = {"grad_pooled", "grad_attention", "grad_maps", "grad_diversity", "grad_correlation"};
  for (size_t i = 0; i < 5; ++i) check_result(outputs[i], grad_outputs[i], layouts[i], device, false);
  const char* results[] = {"saved_attention", "saved_maps", "saved_correlation", "saved_attention_sum", "saved_winner"};
  const size_t output_of[] = {1, 2, 4, 5, 6};
  for (size_t i = 0; i < 5; ++i) check_result(results[i], saved[i], layouts[output_of[i]], device, true);
}

KernelArgs::KernelArgs(const AttentionArgs& args) {
  if (auto problem = find_invalid(args)) raise(*problem);
  const at::Tensor& grid = args.grid();
  options_ = grid.options();
  type = grid.scalar_type();
  accum = accum_type(type);
  height_ = grid.size(-2);
  width_ = grid.size(-1);
  shape.batch = grid.size(0);
  shape.positions = height_ * width_;
  if (args.features) {
    const at::Tensor& weight = *args.weight;
    shape.regions = weight.size(0);
    shape.channels = weight.size(1);
    shape.embed = weight.size(2);
    shape.groups = grid.size(1) / shape.embed;
    inputs.features = feature_map(grid);
    inputs.weight = parameter(weight);
    inputs.bias = parameter(args.bias);
    if (args.mask) {
      held_.push_back(args.mask->contiguous());
      inputs.mask = held_.back().const_data_ptr<bool>();
    }
  } else {
    shape.regions = grid.size(1);
    shape.channels = grid.size(2);
    held_.push_back(grid.contiguous());
    inputs.maps = held_.back().data_ptr();
  }
  if (args.values) {
    shape.values = args.values->size(1);
    inputs.values = feature_map(*args.values);
  }
  inputs.relation_bias = parameter(args.relation_bias);
  inputs.temperature = {parameter(args.temperature_tensor), args.temperature};
  inputs.gate = {parameter(args.gate_tensor), args.gate};
  inputs.activation = *activation_of(args.activation);
  inputs.merge = *merge_of(args.merge);
  inputs.margin = args.margin;
  inputs.diversify = args.diversify;
  inputs.correlate = args.correlate;
}

FeatureMap KernelArgs::feature_map(const at::Tensor& tensor) {
  held_.push_back(is_readable(tensor) ? tensor : tensor.contiguous());
  return view_of(held_.back());
}

const void* KernelArgs::parameter(const OptionalTensor& tensor) {
  if (!tensor) return nullptr;
  held_.push_back(tensor->to(accum).contiguous());
  return held_.back().data_ptr();
}

AllocatedOutputs::AllocatedOutputs(const KernelArgs& call) : pointers{} {
  const auto layouts = output_layouts(call);
  for (size_t i = 0; i < layouts.size(); ++i) {
    const Layout& layout = layouts[i];
    if (layout.present) tensors[i] = at::empty(at::IntArrayRef(layout.sizes), call.options().dtype(layout.type));
  }
  const auto pointer = [this](size_t i) { return tensors[i].defined() ? tensors[i].data_ptr() : nullptr; };
  pointers = {
      pointer(0), pointer(1), pointer(2), pointer(3), pointer(4), pointer(5), static_cast<uint8_t*>(pointer(6))};
}

AllocatedGrads::AllocatedGrads(const AttentionArgs& args, const KernelArgs& call, const Needs& needs) {
  pointers.values = feature_grad(0, args.values, needs[0]);
  pointers.features = feature_grad(1, args.features, needs[1]);
  if (needs[2] && args.maps) {
    returned_[2] = at::empty_like(*args.maps);
    written_[2] = returned_[2].is_contiguous() ? returned_[2] : at::empty(args.maps->sizes(), call.options());
    pointers.maps = written_[2].data_ptr();
  }
  pointers.weight = parameter_grad(3, args.weight, needs[3], call.accum);
  pointers.bias = parameter_grad(4, args.bias, needs[4], call.accum);
  pointers.temperature = parameter_grad(5, args.temperature_tensor, needs[5], call.accum);
  pointers.gate = parameter_grad(6, args.gate_tensor, needs[6], call.accum);
  pointers.relation_bias = parameter_grad(7, args.relation_bias, needs[7], call.accum);
}

FeatureMap AllocatedGrads::feature_grad(size_t index, const OptionalTensor& input, bool needed) {
  if (!needed || !input) return {};
  returned_[index] = at::empty_like(*input);
  written_[index] = is_readable(returned_[index]) ? returned_[index] : at::empty(input->sizes(), input->options());
  return view_of(written_[index]);
}

void* AllocatedGrads::parameter_grad(size_t index, const OptionalTensor& input, bool needed, at::ScalarType accum) {
  if (!needed || !input) return nullptr;
  returned_[index] = at::empty_like(*input);
  const bool direct = returned_[index].scalar_type() == accum && returned_[index].is_contiguous();
  written_[index] = direct ? returned_[index] : at::empty(input->sizes(), input->options().dtype(accum));
  return written_[index].data_ptr();
}

GradInputTensors AllocatedGrads::result() const {
  for (size_t i = 0; i < returned_.size(); ++i)
    if (returned_[i].defined() && !returned_[i].is_same(written_[i])) at::Tensor(returned_[i]).copy_(written_[i]);
  return returned_;
}

BackwardPointers::BackwardPointers(const GradOutputTensors& grads, const SavedTensors& results,
                                   const AttentionArgs& args) {
  const auto& [dpooled, dattention, dmaps, ddiversity, dcorrelation] = grads;
  grad_outputs = {pointer(dpooled), pointer(dattention), pointer(dmaps), pointer(ddiversity), pointer(dcorrelation)};
  const auto& [attention, maps, correlation, attention_sum, winner] = results;
  // A forward that writes no attention returns the given maps in its place.
  saved = {pointer(attention ? attention : args.maps), pointer(maps), pointer(correlation), pointer(attention_sum),
           static_cast<const uint8_t*>(pointer(winner))};
}

const void* BackwardPointers::pointer(const OptionalTensor& tensor) {
  if (!tensor || !tensor->defined()) return nullptr;
  held_.push_back(tensor->contiguous());
  return held_.back().data_ptr();
}

}  // namespace sma
