// Philox 4x32-10: random words that are addressed, not drawn (gpucnn/random.py has the same).
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
//
// The word at `position` is word position % 4 of the block with
//
//     counter = (position / 4 low 32 bits, high 32 bits, step, stream),   key = seed (64 bits)
#pragma once

struct PhiloxWords {
    unsigned word[4];
};

// What stays the same over all positions.
struct PhiloxKey {
    unsigned long long seed;
    unsigned stream;
    unsigned step;
};

// Ten rounds over one counter.
__device__ __forceinline__ PhiloxWords philox_4x32(PhiloxWords counter, unsigned long long seed) {
    constexpr unsigned MULTIPLIER_0 = 0xD2511F53u;
    constexpr unsigned MULTIPLIER_1 = 0xCD9E8D57u;
    unsigned key_0 = static_cast<unsigned>(seed);
    unsigned key_1 = static_cast<unsigned>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const unsigned high_0 = __umulhi(counter.word[0], MULTIPLIER_0);
        const unsigned high_1 = __umulhi(counter.word[2], MULTIPLIER_1);
        const unsigned low_0 = counter.word[0] * MULTIPLIER_0;
        const unsigned low_1 = counter.word[2] * MULTIPLIER_1;
        counter.word[0] = high_1 ^ counter.word[1] ^ key_0;
        counter.word[1] = low_1;
        counter.word[2] = high_0 ^ counter.word[3] ^ key_1;
        counter.word[3] = low_0;
        key_0 += 0x9E3779B9u;
        key_1 += 0xBB67AE85u;
    }
    return counter;
}

// The block of four words that begins at position 4 · block.
__device__ __forceinline__ PhiloxWords philox_block(PhiloxKey key, unsigned long long block) {
    const PhiloxWords counter = {
        {static_cast<unsigned>(block), static_cast<unsigned>(block >> 32), key.step, key.stream}};
    return philox_4x32(counter, key.seed);
}

// The four words at position … position + 3: of one block, or of two.
__device__ __forceinline__ PhiloxWords philox_words(PhiloxKey key, unsigned long long position) {
    PhiloxWords words = philox_block(key, position / 4);
    const int skipped = static_cast<int>(position % 4);
    if (skipped != 0) {
        PhiloxWords next = philox_block(key, position / 4 + 1);
        // Moved place by place: an index that is known only at run time would put them in memory.
        for (int place = 0; place < skipped; ++place) {
            words = {{words.word[1], words.word[2], words.word[3], next.word[0]}};
            next = {{next.word[1], next.word[2], next.word[3], 0u}};
        }
    }
    return words;
}
