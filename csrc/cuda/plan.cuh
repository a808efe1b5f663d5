// Host side: how a call is cut into blocks, and where its arrays lie.
#pragma once

#include <initializer_list>

#include "mma.cuh"
#include "sma_attention_cuda.h"
#include "tiles.cuh"
#include "workspace.cuh"

namespace sma::cuda {

inline Sizes sizes_of(const Shape& shape, Merge merge) {
  const auto narrow_to_int = [](int64_t size) { return static_cast<int>(size); };
  return {narrow_to_int(shape.regions), narrow_to_int(shape.channels),
          narrow_to_int(shape.maps()),  narrow_to_int(merge == Merge::none ? shape.maps() : shape.regions),
          narrow_to_int(shape.groups),  narrow_to_int(shape.embed),
          narrow_to_int(shape.values),  narrow_to_int(shape.positions)};
}

inline int64_t tiles_of(int64_t size) { return (size + kTile - 1) / kTile; }

// The widest piece, 16 bytes at most, that divides every one of `bytes`.
inline int common_piece(std::initializer_list<int64_t> bytes) {
  int64_t joined = 16;
  for (const int64_t value : bytes) joined |= value;
  return static_cast<int>(joined & -joined);
}

template <class T>
Rows<T> rows_of(T* data, int64_t batch, int64_t batch_stride, int64_t row_stride) {
  const int64_t size = sizeof(T);
  return {data, batch_stride, row_stride,
          common_piece({reinterpret_cast<int64_t>(data), batch > 1 ? batch_stride * size : 0, row_stride * size})};
}

// `group` channels are read together: tiles start at its multiples.
template <class T>
Map<T> map_of(const FeatureMap& map, int64_t batch, int64_t positions, int64_t group) {
  if (!map.data) return {};
  const int64_t size = sizeof(T);
  const bool channels_last = map.position_stride != 1;
  Map<T> found{rows_of(static_cast<T*>(map.data), batch, map.batch_stride,
                       channels_last ? map.position_stride : map.channel_stride),
               channels_last, false};
  if (channels_last) {
    found.rows.piece = common_piece({found.rows.piece, group * size});
  } else if (found.rows.piece < 16 && positions <= kTile && map.channel_stride == positions) {
    found.flat = common_piece({reinterpret_cast<int64_t>(map.data), batch > 1 ? map.batch_stride * size : 0,
                               group * positions * size}) == 16;
  }
  return found;
}

// Arrays in shared memory while they fit, in their order, beside `tiles` bytes that must.
inline Placement place(const int64_t* floats, int count, int64_t tiles, int64_t limit) {
  Placement found{};
  int64_t used = tiles;
  for (int i = 0; i < count; ++i) {
    const int64_t bytes = (floats[i] * 4 + 15) / 16 * 16;
    if (used + bytes <= limit) {
      used += bytes;
      found.in_shared |= 1u << i;
    } else {
      found.workspace += (floats[i] + 3) / 4 * 4;
    }
  }
  found.shared = static_cast<int>(used);
  return found;
}

// 16-row tiles of A that a block of the streaming kernels holds: 1, 2 or 4, and 2 at most in float32, where four would
// pass the 99 KB of shared memory that the smaller cards have.
template <class T>
int row_tiles_of(int rows) {
  const int most = sizeof(T) == 4 ? 2 : 4;
  int tiles = 1;
  while (tiles < most && 16 * tiles < rows) tiles *= 2;
  return tiles;
}

inline constexpr const char* kNoInstance =
    "no kernel holds four row tiles of 32-bit elements; this is a bug of sma_kernels";

// Tiles of channels in a slice: as many as leave every processor four blocks, `most` at most.
inline int slice_tiles_of(int64_t blocks_per_tile, int64_t tiles, int most, int processors) {
  while (most > 1 && blocks_per_tile * ((tiles + most - 1) / most) < 4 * static_cast<int64_t>(processors)) most /= 2;
  return most;
}

// Bytes of the tiles through which a map streams.
template <class T>
int64_t stream_bytes(bool flat) {
  return (flat ? 3 : 2) * static_cast<int64_t>(kTileElements<T>) * static_cast<int64_t>(sizeof(T));
}

template <class T>
int64_t row_tile_bytes(int row_tiles) {
  return static_cast<int64_t>(16) * row_tiles * kPitch<T> * static_cast<int64_t>(sizeof(T));
}

// Hands out parts of a workspace, in floats; with a null base it only counts.
class Workspace {
 public:
  explicit Workspace(void* base) : base_(static_cast<float*>(base)) {}

  float* take(int64_t floats) {
    float* part = base_ ? base_ + used_ : nullptr;
    used_ += (floats + 3) / 4 * 4;
    return part;
  }
  int64_t bytes() const { return used_ * static_cast<int64_t>(sizeof(float)); }

 private:
  float* base_;
  int64_t used_ = 0;
};

template <class T, bool kRounds>
struct Modes;
template <>
struct Modes<float, false> {
  using Head = Ieee;
  using Stream = Ieee;
};
template <>
struct Modes<float, true> {
  using Head = Tf32<false>;
  using Stream = Tf32<false>;
};
template <class T>
struct Modes<T, false> {
  using Head = Tf32<true>;
  using Stream = Half<T>;
};

// Calls run(Modes<T, rounds>()).
template <class T, class Run>
const char* with_modes(const Device& device, const Run& run) {
  if constexpr (sizeof(T) == 4) {
    if (device.tf32) return run(Modes<T, true>());
  }
  return run(Modes<T, false>());
}

}  // namespace sma::cuda
