// Validates calls. Only `raise` throws, so that the fast path can test a call without an exception.
#include "args.h"

namespace sma {
namespace {

bool is_floating(at::ScalarType type) {
  return type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf;
}

template <typename... Parts>
Invalid invalid(Invalid::Kind kind, const Parts&... parts) {
  return {kind, c10::str(parts...)};
}

constexpr auto kValueError = Invalid::Kind::value_error;
constexpr auto kTypeError = Invalid::Kind::type_error;

// Only the batch axis may be empty. It comes first in tensors that have one.
std::optional<Invalid> invalid_axes(const char* name, const at::Tensor& tensor, const char* axes, int64_t dimensions,
                                    bool batch) {
  if (tensor.dim() != dimensions)
    return invalid(kValueError, name, " must have the dimensions ", axes, "; got ", tensor.sizes());
  for (int64_t axis = batch; axis < dimensions; ++axis)
    if (tensor.size(axis) == 0)
      return invalid(kValueError, name, " must not be empty along an axis of ", axes, "; got ", tensor.sizes());
  if (!is_floating(tensor.scalar_type()))
    return invalid(kTypeError, name, " must be float32, bfloat16, float16 or float64; got ", tensor.scalar_type());
  return invalid_memory(name, tensor);
}

std::optional<Invalid> invalid_parameter(const char* name, const OptionalTensor& tensor, at::IntArrayRef sizes,
                                         const at::Tensor& grid) {
  if (!tensor) return std::nullopt;
  const at::ScalarType type = grid.scalar_type(), accum = accum_type(type);
  if (tensor->sizes() != sizes)
    return invalid(kValueError, name, " must have shape ", sizes, "; got ", tensor->sizes());
  if (tensor->scalar_type() != accum && tensor->scalar_type() != type)
    return invalid(kTypeError, name, " must be ", accum, " or ", type, "; got ", tensor->scalar_type());
  if (tensor->device() != grid.device())
    return invalid(kValueError, name, " must be on ", grid.device(), "; it is on ", tensor->device());
  return invalid_memory(name, *tensor);
}

std::optional<Invalid> invalid_mask(const OptionalTensor& mask, const at::Tensor& features) {
  if (!mask) return std::nullopt;
  const std::array<int64_t, 3> sizes{features.size(0), features.size(2), features.size(3)};
  if (mask->sizes() != at::IntArrayRef(sizes))
    return invalid(kValueError, "mask must have shape ", at::IntArrayRef(sizes), "; got ", mask->sizes());
  if (mask->scalar_type() != at::kBool) return invalid(kTypeError, "mask must be bool; got ", mask->scalar_type());
  if (mask->device() != features.device())
    return invalid(kValueError, "mask must be on ", features.device(), "; it is on ", mask->device());
  return invalid_memory("mask", *mask);
}

std::optional<Invalid> invalid_features(const AttentionArgs& args) {
  const at::Tensor& features = *args.features;
  if (!args.weight) return invalid(kValueError, "weight must be a tensor if features are given; got None");
  const at::Tensor& weight = *args.weight;
  if (auto problem = invalid_axes("features", features, "[B,G*D,H,W]", 4, true)) return problem;
  if (auto problem = invalid_axes("weight", weight, "[R,K,D]", 3, false)) return problem;
  if (auto problem = invalid_parameter("weight", weight, weight.sizes(), features)) return problem;
  const int64_t channels = weight.size(1), embed = weight.size(2), groups = features.size(1) / embed;
  if (features.size(1) % embed != 0 || (groups != 1 && groups != channels))
    return invalid(kValueError, "features have ", features.size(1), " channels; expected D or K*D of weight ",
                   weight.sizes());
  if (auto problem = invalid_parameter("bias", args.bias, {weight.size(0), channels}, features)) return problem;
  return invalid_mask(args.mask, features);
}

std::optional<Invalid> invalid_values(const at::Tensor& values, const at::Tensor& grid) {
  if (auto problem = invalid_axes("values", values, "[B,C,H,W]", 4, true)) return problem;
  if (values.size(0) != grid.size(0) || values.size(2) != grid.size(-2) || values.size(3) != grid.size(-1) ||
      values.scalar_type() != grid.scalar_type() || values.device() != grid.device())
    return invalid(kValueError, "values must agree with the maps in batch, height, width, dtype and device");
  return std::nullopt;
}

std::optional<Invalid> invalid_settings(const AttentionArgs& args, int64_t channels) {
  if (!merge_of(args.merge))
    return invalid(kValueError, "merge must be 'max', 'mean' or 'none'; got '", args.merge, "'");
  if (!activation_of(args.activation))
    return invalid(kValueError, "activation must be 'softmax' or 'sigmoid'; got '", args.activation, "'");
  if (args.values && args.merge == "max" && channels > 256)
    return invalid(kValueError, "merge='max' supports at most 256 channels per region; got ", channels);
  return std::nullopt;
}

}  // namespace

void raise(const Invalid& problem) {
  TORCH_CHECK_VALUE(problem.kind != kValueError, problem.message);
  TORCH_CHECK_TYPE(problem.kind != kTypeError, problem.message);
  TORCH_CHECK(false, problem.message);
}

// A storage may be freed or shrunk while tensors still use it, as FSDP does with parameters. The tensor's pointer does
// not show this, and a null pointer would be mistaken for an absent argument.
std::optional<Invalid> invalid_memory(const char* name, const at::Tensor& tensor) {
  if (tensor.numel() == 0) return std::nullopt;
  int64_t last = tensor.storage_offset();
  for (int64_t axis = 0; axis < tensor.dim(); ++axis) last += (tensor.size(axis) - 1) * tensor.stride(axis);
  const size_t needed = static_cast<size_t>(last + 1) * tensor.element_size(), held = tensor.storage().nbytes();
  if (needed <= held) return std::nullopt;
  return invalid(Invalid::Kind::runtime_error, name, " must have memory for ", needed, " bytes; got a storage of ",
                 held, " bytes, freed or resized under it");
}

std::optional<Invalid> find_invalid(const AttentionArgs& args) {
  if (args.features.has_value() == args.maps.has_value())
    return invalid(kValueError, "expected exactly one of features and maps; got both or neither");
  if (args.mask && args.maps) return invalid(kValueError, "mask must be None if maps are given; got a tensor");
  const at::Tensor& grid = args.grid();
  if (auto problem = args.features ? invalid_features(args) : invalid_axes("maps", grid, "[B,R,K,H,W]", 5, true))
    return problem;
  if (args.values)
    if (auto problem = invalid_values(*args.values, grid)) return problem;
  const int64_t regions = args.features ? args.weight->size(0) : grid.size(1);
  const int64_t channels = args.features ? args.weight->size(1) : grid.size(2), maps = regions * channels;
  if (auto problem = invalid_parameter("relation_bias", args.relation_bias, {maps, maps}, grid)) return problem;
  if (auto problem = invalid_parameter("temperature", args.temperature_tensor, {}, grid)) return problem;
  if (auto problem = invalid_parameter("gate", args.gate_tensor, {}, grid)) return problem;
  return invalid_settings(args, channels);
}

}  // namespace sma
