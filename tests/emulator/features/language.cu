// Language

// feature: function templates, specialisations
// expected: 2 * i + 100
template <typename T>
__device__ T twice(T x) {
    return x + x;
}
template <>
__device__ float twice(float x) {
    return 100.0f;
}
KERNEL {
    const int i = INDEX;
    y[i] = twice(i) + twice(0.5f);
}

// feature: class templates with values as parameters
// expected: i + 3
template <int n>
struct Window {
    int at[n];
    __device__ void put(int k, int v) { at[k] = v; }
    __device__ int sum() const {
        int s = 0;
        for (int v : at) s += v;
        return s;
    }
};
KERNEL {
    const int i = INDEX;
    Window<3> w;
    w.put(0, i);
    w.put(1, 1);
    w.put(2, 2);
    y[i] = w.sum();
}

// feature: variadic templates, fold expressions
// expected: i + 6
template <typename... T>
__device__ int add(T... x) {
    return (x + ...);
}
KERNEL {
    const int i = INDEX;
    y[i] = add(i, 1, 2, 3);
}

// feature: `constexpr`, `if constexpr`, `static_assert`
// expected: (i % 4) ** 3
constexpr __device__ int cube(int x) { return x * x * x; }
KERNEL {
    const int i = INDEX;
    static_assert(cube(3) == 27);
    if constexpr (cube(2) == 8)
        y[i] = cube(i % 4);
    else
        y[i] = 0;
}

// feature: lambdas, also generic ones, in device code
// expected: i + 1 + 7 + 2 * i
template <typename F>
__device__ int apply(F f, int x) {
    return f(x);
}
KERNEL {
    const int i = INDEX;
    int base = i;
    auto add = [=](auto x) { return base + x; };
    auto set = [&] { base = 7; };
    set();
    y[i] = add(1) + base + apply([](int x) { return 2 * x; }, i);
}

// feature: classes: constructors, destructors, access, static members
// expected: i + 5
class Counter {
    int* place;
    int sum = 0;

public:
    static constexpr int STEP = 5;
    __device__ explicit Counter(int* p) : place(p) {}
    __device__ void add(int x) { sum += x; }
    __device__ ~Counter() { *place = sum; }
};
KERNEL {
    const int i = INDEX;
    {
        Counter c(&y[i]);
        c.add(i);
    }
    y[i] += Counter::STEP;
}

// feature: inheritance, virtual functions
// expected: 20 if i % 2 else 10
struct Side {
    __device__ virtual int number() const = 0;
};
struct Left : Side {
    __device__ int number() const override { return 10; }
};
struct Right : Side {
    __device__ int number() const override { return 20; }
};
KERNEL {
    const int i = INDEX;
    Right right;
    Left left;
    const Side& side = i % 2 ? static_cast<const Side&>(right) : left;
    y[i] = side.number();
}

// feature: operator overloading, function overloads, default arguments
// expected: i + 2 + 7
struct Pair {
    int a, b;
};
__device__ Pair operator+(Pair p, Pair q) { return {p.a + q.a, p.b + q.b}; }
__device__ int kind(int) { return 1; }
__device__ int kind(float) { return 2; }
__device__ int kind(const char* = nullptr) { return 4; }
KERNEL {
    const int i = INDEX;
    y[i] = (Pair{i, 1} + Pair{2, 3}).a + kind(1) + kind(1.0f) + kind();
}

// feature: structures, unions, bit fields, enumerations
// expected: 4 + 3 + 100
union Word {
    unsigned whole;
    unsigned char bytes[4];
};
struct Bits {
    unsigned low : 2, high : 1;
};
enum class Colour { RED = 100 };
KERNEL {
    const int i = INDEX;
    Word w;
    w.whole = 0x01020304;
    Bits b{3, 1};
    y[i] = w.bytes[0] + b.low + int(Colour::RED);
}

// feature: recursion
// expected: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89][i % 12]
__device__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
KERNEL {
    const int i = INDEX;
    y[i] = fibonacci(i % 12);
}

// feature: pointers to device functions
// expected: i + 1 if i % 2 else i - 1
__device__ int up(int x) { return x + 1; }
__device__ int down(int x) { return x - 1; }
using Step = int (*)(int);
KERNEL {
    const int i = INDEX;
    Step step = i % 2 ? up : down;
    y[i] = step(i);
}

// feature: namespaces, `using`, `typedef`, `auto`, `decltype`
// expected: i + 2
namespace outer {
namespace inner {
typedef int Number;
__device__ Number next(Number x) { return x + 1; }
}
}
KERNEL {
    const int i = INDEX;
    using namespace outer::inner;
    Number n = next(i);
    decltype(n) m = 1;
    auto k = n + m;
    y[i] = k;
}

// feature: structured bindings, `inline` variables (C++17)
// expected: i + 7
struct Both {
    int a, b;
};
inline constexpr int SEVEN = 7;
KERNEL {
    const int i = INDEX;
    auto [a, b] = Both{i, SEVEN};
    y[i] = a + b;
}

// feature: references, `switch`, `goto`, `do`, range-based `for`, `#pragma unroll`
// expected: 50 if i % 3 else 30
KERNEL {
    const int i = INDEX;
    int sum = 0;
    int& s = sum;
    int values[3] = {1, 2, 3};
#pragma unroll
    for (int v : values) s += v;
again:
    switch (i % 3) {
        case 0:
            s += 10;
            break;
        default:
            s += 20;
    }
    do {
        ++s;
    } while (s % 2);
    if (s < 30) goto again;
    y[i] = s;
}

// feature: `new` and `delete` in kernels
// expected: i
// modes: fast, sanitize
KERNEL {
    const int i = INDEX;
    int* own = new int[3];
    own[2] = i;
    y[i] = own[2];
    delete[] own;
}

// feature: … in race mode
// refused: race mode cannot follow what a kernel allocates
// modes: race
KERNEL {
    const int i = INDEX;
    int* own = new int[3];
    own[2] = i;
    y[i] = own[2];
    delete[] own;
}

// feature: `malloc` and `free` in kernels
// expected: i
// modes: fast, sanitize
KERNEL {
    const int i = INDEX;
    int* own = static_cast<int*>(malloc(12));
    own[2] = i;
    y[i] = own[2];
    free(own);
}
