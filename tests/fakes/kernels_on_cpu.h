/* Enough of CUDA for `kernels.cu` to run on a CPU: blocks one after the other, and the threads of a block one after the
   other, too, or, where they meet at __syncthreads, as fibers that take turns there. It shows what a kernel computes,
   not how fast, and no race: one thread runs at a time, in an order that can be reversed. */
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__ inline
#define __shared__ static

struct float16;
struct bfloat16;

struct Dimensions {
    unsigned x, y, z;
};
Dimensions threadIdx, blockIdx, blockDim, gridDim;

using std::exp;
using std::log;
static inline int min(int a, int b) { return a < b ? a : b; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
static inline float __int_as_float(unsigned bits) { return __uint_as_float(bits); }
static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* float16 has a sign, 5 bits of exponent (biased by 15) and 10 of fraction. */
static inline float __float16_as_float(unsigned short bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent ? std::ldexp(1024.0f + fraction, exponent - 25)
                            : std::ldexp((float)fraction, -24);
    return bits >> 15 ? -size : size;
}
static inline unsigned short __float_as_float16(float value)
{
    unsigned short sign = std::signbit(value) << 15;
    float size = std::fabs(value);
    if (value != value) return sign | 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    if (size == 0) return sign;
    int exponent;
    std::frexp(size, &exponent);  // size < 2^exponent
    int unit = exponent - 11 < -24 ? -24 : exponent - 11;  // the last bit's
    int units = (int)std::nearbyint(std::ldexp(size, -unit));  // to the nearest; of two, the even
    return sign | (unsigned short)(units + ((unit + 24) << 10));  // a carry moves on into the exponent
}

/* --- the threads of a block -------------------------------------------------------------------------------------- */

struct Fiber {
    ucontext_t context;
    bool finished;
    std::vector<char> stack = std::vector<char>(64 * 1024);
};
struct UnexpectedBarrier {};
ucontext_t scheduler;
std::vector<Fiber> fibers(1024);
Fiber* running;  // null while a thread runs without a fiber
void (*body)(void** arguments);
void** body_arguments;

void __syncthreads()
{
    if (!running) throw UnexpectedBarrier();
    swapcontext(&running->context, &scheduler);
}

void run_fiber()
{
    body(body_arguments);
    running->finished = true;
    setcontext(&scheduler);
}

/* Runs a thread from its beginning to its end, or to its first barrier. */
void begin(Fiber& fiber)
{
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.finished = false;
    makecontext(&fiber.context, run_fiber, 0);
    running = &fiber;
    swapcontext(&scheduler, &fiber.context);
}

/* Runs one block; false if some threads waited at a barrier and others didn't come to it. */
bool run_block(bool reversed)
{
    unsigned count = blockDim.x * blockDim.y;
    auto enter = [&](unsigned turn) {
        unsigned t = reversed ? count - 1 - turn : turn;
        threadIdx = {t % blockDim.x, t / blockDim.x, 0};
        return t;
    };
    begin(fibers[enter(0)]);
    if (running->finished) {  // without a barrier: no other thread may come to one, so none needs a fiber, which is slow
        running = nullptr;
        try {
            for (unsigned turn = 1; turn < count; turn++) {
                enter(turn);
                body(body_arguments);
            }
        } catch (UnexpectedBarrier) {
            return false;
        }
        return true;
    }
    unsigned waiting = 1;
    for (unsigned turn = 1; turn < count; turn++) {
        Fiber& fiber = fibers[enter(turn)];
        begin(fiber);
        waiting += !fiber.finished;
    }
    while (waiting) {
        if (waiting < count) return false;
        waiting = 0;
        for (unsigned turn = 0; turn < count; turn++) {
            running = &fibers[enter(turn)];
            swapcontext(&scheduler, &running->context);
            waiting += !running->finished;
        }
    }
    return true;
}

/* --- kernels by their names -------------------------------------------------------------------------------------- */

/* "pf4" for a pointer to float, "i8" for a long long, ... */
template <class T> const char* code()
{
    if constexpr (std::is_pointer_v<T>) {
        using Element = std::remove_cv_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_same_v<Element, float>) return "pf4";
        if constexpr (std::is_same_v<Element, double>) return "pf8";
        if constexpr (std::is_same_v<Element, float16>) return "pe2";
        if constexpr (std::is_same_v<Element, bfloat16>) return "pb2";
        if constexpr (std::is_same_v<Element, unsigned char>) return "pu1";
        if constexpr (std::is_same_v<Element, long long>) return "pi8";
    } else if constexpr (std::is_floating_point_v<T>) {
        return sizeof(T) == 4 ? "f4" : "f8";
    } else if constexpr (std::is_class_v<T>) {
        static const std::string name = "V" + std::to_string(sizeof(T));
        return name.c_str();
    } else if constexpr (std::is_signed_v<T>) {
        return sizeof(T) == 4 ? "i4" : "i8";
    } else {
        return sizeof(T) == 4 ? "u4" : "u8";
    }
}

template <auto kernel> struct Call;
template <class... A, void (*kernel)(A...)> struct Call<kernel> {
    static const char* signature(unsigned number)
    {
        const char* codes[] = {code<A>()..., nullptr};
        return number < sizeof...(A) ? codes[number] : nullptr;
    }
    template <size_t... i> static void unpacked(void** arguments, std::index_sequence<i...>)
    {
        kernel(*(A*)arguments[i]...);
    }
    static void run(void** arguments) { unpacked(arguments, std::index_sequence_for<A...>()); }
};

struct Entry {
    const char* name;
    const char* (*signature)(unsigned);
    void (*run)(void**);
};
extern const Entry entries[];
#define KERNEL(name) Entry{#name, Call<name>::signature, Call<name>::run}

static const Entry* find(const char* name)
{
    const Entry* entry = entries;
    while (entry->name && std::strcmp(entry->name, name)) entry++;
    return entry;
}

/* The code of a kernel's parameter; null after the last. */
extern "C" const char* fake_parameter(const char* name, unsigned number) { return find(name)->signature(number); }

/* Runs the blocks from `first` to `last - 1`. */
extern "C" bool fake_launch(
    const char* name, unsigned grid, unsigned block_x, unsigned block_y, unsigned first, unsigned last, bool reversed,
    void** arguments)
{
    body = find(name)->run;
    body_arguments = arguments;
    gridDim = {grid, 1, 1};
    blockDim = {block_x, block_y, 1};
    for (unsigned turn = first; turn < last; turn++) {
        blockIdx = {reversed ? last - 1 - (turn - first) : turn, 0, 0};
        if (!run_block(reversed)) return false;
    }
    return true;
}
