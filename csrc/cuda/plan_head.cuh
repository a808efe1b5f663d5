// Host side: division of a head kernel's work into clusters and tiles.
#pragma once

#include "head_plan.cuh"
#include "plan.cuh"

namespace sma::cuda {

// Positions below which a block has too little to do to share a sample.
constexpr int kMinSlice = 48;

inline int ceil_div(int size, int block) { return (size + block - 1) / block; }

// Slices start at multiples of 8 positions, for aligned copies, and none is empty.
inline Division division_of(int positions, int blocks, bool cooperative) {
  Division division{};
  division.cooperative = cooperative;
  division.slice = blocks == 1 ? positions : round_up(ceil_div(positions, blocks), 8);
  division.cluster = ceil_div(positions, division.slice);
  return division;
}

// Time of a launch by count, in units of one position of a visit: a block takes as long as its visits, each of which
// costs 64 beside its positions, and 1024 for what does not depend on them; one block runs per SM. Arrays in the
// workspace make a block about four times slower.
inline int64_t cost_of(int64_t blocks, int visits, int columns, bool all_shared, int sm_count) {
  constexpr int kBlock = 1024, kVisit = 64, kWorkspace = 4;
  const int64_t waves = (blocks + sm_count - 1) / sm_count;
  return waves * (kBlock + int64_t{visits} * (kVisit + columns)) * (all_shared ? 1 : kWorkspace);
}

// The most memory that the blocks of a cooperative launch may use. With many maps, each has N x N matrices of its own.
constexpr int64_t kMaxCooperativeBytes = int64_t{1} << 28;

// What the barriers of a cooperative launch add: five or seven of one and a half microseconds. A position takes longer
// with more maps.
inline int64_t cooperation_cost_of(int maps) { return 8192 / (8 + maps); }

// The division that takes the least time. `arrays_of(slice, columns)` lists the arrays that a block has beside the
// tiles; what does not fit in shared memory is placed in the workspace. `exchange` is in floats per block. Features are
// copied flat only if a tile holds all positions.
template <class T, int kParts, class ArraysOf>
HeadPlan plan_head(const Sizes& n, Map<const T>& features, int64_t batch, int64_t exchange, const Device& device,
                   const ArraysOf& arrays_of) {
  constexpr int kColumns = kProductColumns<kParts>;
  const bool has_features = features.rows.data != nullptr, is_flat = features.flat;
  const int group_maps = GroupMaps(n, 0).count;
  const int group_shift = group_maps <= 16 ? 4 : group_maps <= 32 ? 5 : 6;
  HeadPlan best{};
  int64_t least = -1;
  const auto consider = [&](const Division& division, int columns, int groups) {
    HeadPlan plan{};
    plan.division = division;
    plan.division.exchange = plan.division.cluster > 1 ? exchange : 0;
    const int visits =
        ceil_div(plan.division.slice, columns) * ceil_div(n.groups, groups) * ceil_div(n.embed, kFeatureChannels);
    const bool flat = is_flat && plan.division.cluster == 1 && columns >= n.positions;
    const auto arrays = arrays_of(plan.division.slice, columns);
    plan.product_columns = round_up(max(columns, min(n.maps, kColumns)), 16);
    for (int buffers = visits > 1 ? 2 : 1; buffers >= 1; --buffers) {
      plan.tiles = {columns, has_features ? groups : 0, group_shift, buffers};
      const int64_t tiles = head_tile_bytes<T, kParts>(plan.tiles, plan.product_columns, has_features, flat);
      if (tiles > device.shared_limit) continue;
      plan.placement = place_arrays(arrays.floats, arrays.kCount, tiles, device.shared_limit);
      const int64_t blocks = batch * division.cluster;
      const int64_t bytes = blocks * (plan.division.exchange + plan.placement.workspace) * int64_t{sizeof(float)};
      if (division.cooperative && bytes > kMaxCooperativeBytes) continue;
      const bool all_shared = plan.placement.workspace == 0;
      const int64_t cost = cost_of(blocks, visits, columns, all_shared, device.sm_count) +
                           (division.cooperative ? cooperation_cost_of(n.maps) : 0);
      if (least < 0 || cost < least) {
        least = cost;
        best = plan;
        features.flat = flat;
      }
      if (all_shared) break;
    }
  };
  const auto divide = [&](int blocks, bool cooperative) {
    const Division division = division_of(n.positions, blocks, cooperative);
    const int fewest = ceil_div(division.slice, kColumns);
    for (const int tiles : {fewest, 2 * fewest}) {
      for (int groups = kProductRows >> group_shift; groups >= 1; groups /= 2) {
        if (groups > 1 && groups >= 2 * n.groups) continue;
        consider(division, round_up(ceil_div(division.slice, tiles), 16), groups);
      }
    }
  };
  int blocks = 1;
  for (; blocks <= device.max_cluster && (blocks == 1 || n.positions / blocks >= kMinSlice); blocks *= 2) {
    divide(blocks, false);
  }
  if (!device.cooperative) return best;
  const auto most = static_cast<int>(min(device.sm_count / batch, int64_t{n.positions / kMinSlice}));
  for (; blocks < most; blocks *= 2) divide(blocks, true);
  if (most > blocks / 2 && most > device.max_cluster) divide(most, true);
  return best;
}

}  // namespace sma::cuda
