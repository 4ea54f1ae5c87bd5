// Steps that change several vectors in place: a function of one element of each.
//
// Work is divided as elementwise.cuh says.
#pragma once

#include "elementwise.cuh"

// function(gradients[i], states[i]...) for this thread's i < count; it changes the states.
template <typename Function, typename... States>
__device__ __forceinline__ void update_elements(
    long long count, Function function, const float* gradients, States*... states) {
    const long long first = first_element();
    if (first + VECTOR <= count) {
        const Vector<float, VECTOR> gradient = load_vector<VECTOR>(gradients + first);
        [&](Vector<States, VECTOR>... state) {
            for (int i = 0; i < VECTOR; ++i) {
                function(gradient.of[i], state.of[i]...);
            }
            (store_vector(states + first, state), ...);
        }(load_vector<VECTOR>(states + first)...);
    } else {
        // At most VECTOR - 1 turns; without this the compiler unrolls for more.
#pragma unroll 1
        for (long long i = first; i < count; ++i) {
            function(gradients[i], states[i]...);
        }
    }
}
