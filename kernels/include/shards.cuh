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
    T waiting[SHARD_LEVELS];  // at each level, the left one of a pair; not used for one shard
    T value = {};
    for (int shard = 0; shard < shards; ++shard) {
        value = of_shard(shard);
        const bool is_last = shard == shards - 1;
        int level = 0;
        for (int place = shard; place % 2 == 1 || (is_last && place > 0); place /= 2) {
            if (place % 2 == 1) {
                value = combine(waiting[level], value);
            }
            ++level;
        }
        if (!is_last) {
            waiting[level] = value;
        }
    }
    return value;
}
