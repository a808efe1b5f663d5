// Arrays in shared memory and division of the work that both head kernels have in common.
#pragma once

#include "features.cuh"

namespace sma::cuda {

// Made by plan_head on the host.
struct HeadPlan {
  Division division;
  FeatureTiles tiles;
  int product_columns;
  Placement placement;
};

// The shared memory of a head kernel that must be there: carved in the same order as head_tile_bytes counts.
template <int kParts, bool kShared>
__device__ __forceinline__ ProductTiles take_product_tiles(Arrays<kShared>& arrays, int columns) {
  const int left = left_plane(), right = right_plane(columns);
  ProductTiles tiles{};
  tiles.left = {arrays.template tile<Part>(kParts * left), 0, left};
  tiles.right = {arrays.template tile<Part>(kParts * right), 0, right};
  tiles.columns = columns;
  return tiles;
}

template <class T, int kParts>
int64_t head_tile_bytes(const FeatureTiles& tiles, int product_columns, bool has_features, bool flat) {
  const int64_t products = kParts * (left_plane() + right_plane(product_columns)) * int64_t{sizeof(Part)};
  const int64_t scratch = kHeadWarps * int64_t{sizeof(float)};
  if (!has_features) return scratch + products;
  const int64_t elements = tiles.groups * group_elements(tiles);
  const int64_t parts = holds_parts<T>(flat) ? 0 : elements * kFeatureParts<T, kParts> * int64_t{sizeof(Part)};
  return scratch + products + tiles.buffers * elements * int64_t{sizeof(T)} + parts;
}

}  // namespace sma::cuda
