// Shards of a batch: sums that are made separately, and then added in a fixed tree.
//
// The terms of a sum are cut into shards of `shard_terms`, and each shard into slices of
// `slice_terms`; the last shard may be shorter, and so may its last slices, or empty. A slice's sum
// does not depend on the number of shards. Shards have an axis of the grid.
#pragma once

// Levels of the tree: there are at most 1,024 shards.
constexpr int SHARD_LEVELS = 10;

// From first on, below last.
struct Terms {
    long long first;
    long long last;
};

__device__ __forceinline__ Terms terms_of_slice(
    int shard, long long shard_terms, int slice, long long slice_terms, long long terms) {
    const long long first_of_shard = shard * shard_terms;
    const long long last_of_shard = min(first_of_shard + shard_terms, terms);
    const long long first = min(first_of_shard + slice * slice_terms, last_of_shard);
    return {first, min(first + slice_terms, last_of_shard)};
}

// Combines of_shard(0), of_shard(1), ... in pairs of neighbours, and these in pairs again, until one
// is left: ((s0 + s1) + (s2 + s3)) + s4. of_shard is called once a shard, in order, by all threads.
template <typename T, typename OfShard, typename Combine>
__device__ __forceinline__ T tree_of_shards(int shards, OfShard of_shard, Combine combine) {
    // At each level, the left one of a pair.
    T waiting[SHARD_LEVELS] = {};
    T value = {};
    for (int shard = 0; shard < shards; ++shard) {
        value = of_shard(shard);
#pragma unroll
        for (int level = 0; level < SHARD_LEVELS; ++level) {
            if ((shard >> level) % 2 == 1) {
                value = combine(waiting[level], value);
            } else if (shard < shards - 1) {
                waiting[level] = value;
                break;
            }
        }
    }
    return value;
}
