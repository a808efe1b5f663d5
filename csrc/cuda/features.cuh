// Streams the features of a slice of positions through shared memory, as tiles of parts.
//
// A visit covers up to 128 positions, 64 channels and one, two or four groups: as many as have all their maps, padded
// to 16, in one 64-row product. Buffers hold the features as they come; bfloat16 is its own single part, anything else,
// and the flat runs of misaligned rows (7x7), is then split into parts.
#pragma once

#include <type_traits>

#include "cluster.cuh"
#include "products.cuh"
#include "row_copies.cuh"
#include "workspace.cuh"

namespace sma::cuda {

constexpr int kFeatureChannels = 64;  // of a visit

// Parts of a feature in T if other operands have kParts.
template <class T, int kParts>
constexpr int kFeatureParts = std::is_same_v<T, __nv_bfloat16> ? 1
                              : std::is_same_v<T, __half>      ? 2
                                                               : kParts;

// How visits divide the features; made on the host.
struct FeatureTiles {
  int columns;      // positions of a visit, a multiple of 16
  int groups;       // of a visit
  int group_shift;  // a group has 2^this rows of a product: 16, 32 or 64
  int buffers;      // 1 or 2

  __host__ __device__ int group_rows() const { return 1 << group_shift; }
};

// Whether a buffer holds the parts themselves.
template <class T>
__host__ __device__ bool holds_parts(bool flat) {
  return std::is_same_v<T, __nv_bfloat16> && !flat;
}

// Elements of one group in a buffer, and in a plane of parts.
__host__ __device__ inline int group_elements(const FeatureTiles& tiles) { return right_plane(tiles.columns); }

struct Visit {
  int tile;  // of positions
  int group, groups;
  int channel, channels;    // of each group
  int position, positions;  // in the slice
};

// The maps that read feature group `group`: all of them if the group is shared, else channel `group` of every region.
struct GroupMaps {
  int count, first, step;

  __host__ __device__ GroupMaps(const Sizes& n, int group)
      : count(n.groups == 1 ? n.maps : n.regions), first(group), step(n.groups == 1 ? 1 : n.channels) {}
  __device__ __forceinline__ int operator()(int i) const { return first + i * step; }
};

// Up to 64 maps as rows of a product: those of the groups of a visit, or maps first.. of a single group.
struct VisitMaps {
  const Sizes& n;
  int group, group_shift, first;
  int rows;

  __device__ VisitMaps(const Sizes& sizes, const FeatureTiles& tiles, const Visit& visit, int first_map)
      : n(sizes),
        group(visit.group),
        group_shift(tiles.group_shift),
        first(first_map),
        rows((visit.groups - 1) * tiles.group_rows() + depth()) {}

  // The map of a row, or -1 for padding.
  __device__ __forceinline__ int operator()(int row) const {
    const GroupMaps maps(n, group_of(row));
    const int i = first + (row & ((1 << group_shift) - 1));
    return i < maps.count ? maps(i) : -1;
  }
  __device__ __forceinline__ int group_of(int row) const { return group + (row >> group_shift); }
  // Rows of one group, padding excluded.
  __device__ __forceinline__ int depth() const { return min(1 << group_shift, GroupMaps(n, 0).count - first); }
};

// Starts the copies of the features of a visit.
template <int kColumns, class T>
__device__ __forceinline__ void load_features(const Map<const T>& features, const FeatureTiles& tiles, Visit visit,
                                              int embed, int64_t sample, int first, T* buffer) {
#pragma unroll 1
  for (int g = 0; g < visit.groups; ++g) {
    const T* from = features.at(sample, (visit.group + g) * embed + visit.channel, first + visit.position);
    T* to = buffer + g * group_elements(tiles);
    if (features.flat) {
      load_flat(to, from, visit.channels * visit.positions);
    } else if (features.channels_last) {
      load_rows<kFeatureChannels>(to, part_pitch(kFeatureChannels), features.rows, from, visit.positions,
                                  visit.channels);
    } else {
      load_rows<kColumns>(to, part_pitch(tiles.columns), features.rows, from, visit.channels, visit.positions);
    }
  }
}

template <class T, int kParts>
class FeatureStream {
 public:
  static constexpr int kTileParts = kFeatureParts<T, kParts>;
  static constexpr int kColumns = kProductColumns<kParts>;

  template <bool kShared>
  __device__ FeatureStream(Arrays<kShared>& arrays, const Sizes& n, const Map<const T>& features,
                           const FeatureTiles& tiles, const Slice& slice)
      : n_(n), features_(features), tiles_(tiles), slice_(slice) {
    const int elements = tiles.groups * group_elements(tiles);
    buffers_.even = arrays.template tile<T>(elements);
    buffers_.odd = tiles.buffers == 2 ? arrays.template tile<T>(elements) : buffers_.even;
    if (!holds_parts<T>(features.flat)) parts_ = arrays.template tile<Part>(elements * kTileParts);
  }

  // Starts the first copies, which `for_each` awaits.
  __device__ __forceinline__ void start() {
    start(0);
    is_started_ = true;
  }

  // Calls prepare(visit), which must not read the features, and visit(visit) for every part of the features: positions
  // outermost, then groups, then channels. All threads must call; barriers stand before and after each visit.
  template <class Prepare, class Run>
  __device__ __forceinline__ void for_each(const Prepare& prepare, const Run& run) {
    const int count = visits();
    int started = resident_ || is_started_ ? 1 : 0;
    is_started_ = false;
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
#pragma unroll 1
      for (; started < min(count, i + tiles_.buffers); ++started) start(started);
      const Visit visit = locate(i);
      prepare(visit);
      if (started == i + 2) {
        wait_copies<1>();
      } else {
        wait_copies<0>();
      }
      sync_block();
      if (!resident_) clear_invalid(features_, visit, buffers_[i]);
      if (!holds_parts<T>(features_.flat) && !resident_) {
        split(visit, buffers_[i]);
        sync_block();
      }
      run(visit, buffers_[i]);
      sync_block();
    }
    resident_ = count == 1;
  }

  // The features of group visit.group + `group` of the current visit: [channels,positions], or [positions,channels] if
  // they are channels_last.
  __device__ __forceinline__ PartTile tile(const Visit& visit, int group) const {
    const int elements = group_elements(tiles_);
    if constexpr (std::is_same_v<T, Part>) {
      if (!features_.flat) return {buffers_[index_of(visit)] + group * elements, pitch(), 0};
    }
    return {parts_ + group * elements * kTileParts, pitch(), elements};
  }

  // Zeros at the invalid positions of a visit in a buffer that is laid out like `map`, because 0 times what it holds
  // there need not be 0. A barrier must precede; with a mask, one follows.
  template <class Element>
  __device__ __forceinline__ void clear_invalid(const Map<Element>& map, const Visit& visit, T* buffer) const {
    if (!slice_.has_mask()) return;
    const int rows = map.channels_last ? visit.positions : visit.channels;
    const int columns = map.channels_last ? visit.channels : visit.positions;
    const int row_pitch = map.flat ? visit.positions : pitch_of_rows(map.channels_last);
    const RowThreads own = RowThreads::of<kColumns, 1>(columns);
#pragma unroll 1
    for (int row = own.row; row < rows && own.column < columns; row += own.rows_at_once) {
      if (slice_.is_valid(visit.position + (map.channels_last ? row : own.column))) continue;
#pragma unroll 1
      for (int g = 0; g < visit.groups; ++g) {
        buffer[g * group_elements(tiles_) + row * row_pitch + own.column] = from_acc<T>(0.0f);
      }
    }
    sync_block();
  }

  __device__ __forceinline__ bool channels_last() const { return features_.channels_last; }
  __device__ __forceinline__ const FeatureTiles& tiles() const { return tiles_; }

 private:
  __device__ __forceinline__ int pitch_of_rows(bool channels_last) const {
    return part_pitch(channels_last ? kFeatureChannels : tiles_.columns);
  }
  __device__ __forceinline__ int pitch() const { return pitch_of_rows(features_.channels_last); }
  __device__ __forceinline__ int steps() const { return (n_.embed + kFeatureChannels - 1) / kFeatureChannels; }
  __device__ __forceinline__ int chunks() const { return (n_.groups + tiles_.groups - 1) / tiles_.groups; }
  __device__ __forceinline__ int visits() const {
    return (slice_.positions + tiles_.columns - 1) / tiles_.columns * chunks() * steps();
  }

  __device__ __forceinline__ Visit locate(int i) const {
    const int per_tile = chunks() * steps();
    Visit visit;
    visit.tile = i / per_tile;
    visit.position = visit.tile * tiles_.columns;
    visit.positions = min(tiles_.columns, slice_.positions - visit.position);
    visit.group = i % per_tile / steps() * tiles_.groups;
    visit.groups = min(tiles_.groups, n_.groups - visit.group);
    visit.channel = i % steps() * kFeatureChannels;
    visit.channels = min(kFeatureChannels, n_.embed - visit.channel);
    return visit;
  }
  __device__ __forceinline__ int index_of(const Visit& visit) const {
    return (visit.tile * chunks() + visit.group / tiles_.groups) * steps() + visit.channel / kFeatureChannels;
  }

  // Starts the copies of visit i as one group.
  __device__ __forceinline__ void start(int i) const {
    const Visit visit = locate(i);
    load_features<kColumns>(features_, tiles_, visit, n_.embed, slice_.sample(), slice_.first, buffers_[i]);
    commit_copies();
  }

  __device__ __forceinline__ void split(const Visit& visit, const T* buffer) const {
#pragma unroll 1
    for (int g = 0; g < visit.groups; ++g) {
      const T* from = buffer + g * group_elements(tiles_);
      const PartTile to = tile(visit, g);
      const int row_pitch = features_.flat ? visit.positions : pitch();
      const auto element = [&](int i, int j) { return to_acc(from[i * row_pitch + j]); };
      if (features_.channels_last) {
        fill_tile<kTileParts, kFeatureChannels>(to, visit.positions, visit.channels, element);
      } else {
        fill_tile<kTileParts, kColumns>(to, visit.channels, visit.positions, element);
      }
    }
  }

  const Sizes& n_;
  const Map<const T>& features_;
  const FeatureTiles& tiles_;
  const Slice& slice_;
  Buffers<T> buffers_{};
  Part* parts_ = nullptr;
  bool is_started_ = false;  // the copies of the first visit
  bool resident_ = false;    // the only visit is in shared memory
};

}  // namespace sma::cuda
