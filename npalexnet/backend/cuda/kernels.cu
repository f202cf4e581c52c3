/* The hot primitives in CUDA C.

   Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them, M rows of O numbers, K classes.
   Images are channels last, (N, H, W, C). The macro REAL says what numbers lie in memory: float, double, float16 or
   bfloat16; the macro WIDE what is computed in: float for the last two, else the same. The module is compiled once for
   each REAL.

   - Threads never meet: each writes its own numbers, and sums have a fixed order. One input, one result, to the bit.
     (Only the loss adds numbers of several threads, always in the same tree.)
   - Compiled without fused multiply-add, kernels round as the array module's lines do, which they replace.
   - Pixels, windows and rows are counted in 32 bits, because dividing by 64 is slow; where a number lies in memory,
     in 64 bits, because arrays do grow past 2^31 numbers. Python refuses what has too many pixels, windows or rows.
   - Where blocks are two-dimensional, x is the channel, which neighbours in memory, and y the pixel, window or row. */

#ifdef __CUDACC__  /* elsewhere these two are in tests/fakes/kernels_on_cpu.h */
__device__ unsigned short __float_as_float16(float value)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
__device__ float __float16_as_float(unsigned short bits)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
#endif

/* Numbers of 16 bits: float's sign, and fewer bits of exponent and fraction. bfloat16 is the upper half of a float. */
struct float16 {
    unsigned short bits;
    float16() = default;
    __device__ float16(float value) { bits = __float_as_float16(value); }
    __device__ operator float() const { return __float16_as_float(bits); }
};
struct bfloat16 {
    unsigned short bits;
    bfloat16() = default;
    __device__ bfloat16(float value)
    {
        unsigned int wide = __float_as_uint(value);
        bool is_nan = value != value;  // it stays one, though all of its lower bits go
        bits = is_nan ? wide >> 16 | 0x40 : wide + 0x7fff + (wide >> 16 & 1) >> 16;  // to the nearest; of two, the even
    }
    __device__ operator float() const { return __uint_as_float((unsigned int)bits << 16); }
};

/* What a thread reads or writes at once: one number, or a unit of 16 bytes. Kernels called `..._by_units` do the latter,
   and need arrays and rows that begin and end with whole units. A GPU's memory is busy only if each of its threads has
   some such requests under way. */
const int UNIT = 16 / sizeof(REAL);
template <int LANES> struct alignas(LANES * sizeof(REAL)) Numbers {
    REAL lane[LANES];
};
template <int LANES> struct alignas(LANES) Bytes {
    unsigned char lane[LANES];
};
#define EACH(lane) _Pragma("unroll") for (int lane = 0; lane < LANES; lane++)

/* Every kernel over windows takes these: window (p, q) begins at pixel (p*sH - top, q*sW - left), and its element (i, j)
   lies i*dH and j*dW further. What lies outside the image isn't read. */
#define WINDOWS \
    int H, int W, int C, int kH, int kW, int sH, int sW, int dH, int dW, int top, int left, int oH, int oW
#define WINDOW_ARGUMENTS H, W, C, kH, kW, sH, sW, dH, dW, top, left, oH, oW

__device__ int row_number() { return blockIdx.x * blockDim.y + threadIdx.y; }
__device__ long long element_number() { return (long long)blockIdx.x * blockDim.x + threadIdx.x; }

/* Which element of a window lies `distance` pixels after its first: -1 if none does. */
__device__ int element_at(int distance, int dilation)
{
    if (dilation == 1) return distance;
    return distance % dilation == 0 ? distance / dilation : -1;
}

/* The last window that begins at or before a pixel, `distance` pixels after the first window's beginning. */
__device__ int last_window(int distance, int stride, int windows)
{
    return distance < 0 ? -1 : min(distance / stride, windows - 1);
}

/* Images, whose pixels lie `pixel` numbers apart, -> patches (windows, ldk): a row for each window, its kH runs of kW*C
   numbers side by side, then zeros. A row of threads copies one run. */
template <class T>
__device__ void copy_runs(const T* images, T* patches, int runs, int pixel, int ldk, WINDOWS)
{
    int number = row_number();
    if (number >= runs) return;
    int i = number % kH, window = number / kH;
    int q = window % oW, p = window / oW % oH, n = window / oW / oH;
    int h = p * sH - top + i * dH, first = q * sW - left;
    bool inside = 0 <= h && h < H;
    const T* row = images + ((long long)n * H + (inside ? h : 0)) * W * pixel;
    T* run = patches + (long long)window * ldk + i * kW * C;
    if (dW == 1 && pixel == C) {  // the run lies in the image as it does here
        for (int e = threadIdx.x; e < kW * C; e += blockDim.x) {
            int source = first * C + e;
            run[e] = inside && 0 <= source && source < W * C ? row[source] : T();
        }
    } else {
        for (int e = threadIdx.x; e < kW * C; e += blockDim.x) {
            int j = e / C, w = first + j * dW;
            run[e] = inside && 0 <= w && w < W ? row[(long long)w * pixel + e - j * C] : T();
        }
    }
    if (i == kH - 1)
        for (int e = threadIdx.x; e < ldk - kH * kW * C; e += blockDim.x) run[kW * C + e] = T();
}
extern "C" __global__ void im2col(const REAL* images, REAL* patches, int runs, int pixel, int ldk, WINDOWS)
{
    copy_runs(images, patches, runs, pixel, ldk, WINDOW_ARGUMENTS);
}

extern "C" __global__ void im2col_by_units(const REAL* images, REAL* patches, int runs, int pixel, int ldk, WINDOWS)
{
    const Numbers<UNIT>* from = (const Numbers<UNIT>*)images;
    C /= UNIT;  // from here on C, pixel and ldk count units
    copy_runs(from, (Numbers<UNIT>*)patches, runs, pixel / UNIT, ldk / UNIT, WINDOW_ARGUMENTS);
}

/* Columns (windows, ldk) -> images: each pixel gathers the sum of all that im2col made of it, in the order of (i, j);
   with `add` it begins with what is there. */
template <int LANES>
__device__ void gather_columns(const REAL* patches, REAL* images, int pixels, int pixel, int ldk, int add, WINDOWS)
{
    int number = row_number();
    if (number >= pixels) return;
    int w = number % W, h = number / W % H, n = number / W / H;
    int down = h + top, right = w + left;
    int last_p = last_window(down, sH, oH), last_q = last_window(right, sW, oW);
    for (int c = threadIdx.x * LANES; c < C; c += blockDim.x * LANES) {
        Numbers<LANES>* target = (Numbers<LANES>*)(images + (long long)number * pixel + c);
        WIDE sum[LANES];
        Numbers<LANES> result = add ? *target : Numbers<LANES>();
        EACH(lane) sum[lane] = result.lane[lane];
        for (int p = last_p; p >= 0 && down - p * sH <= (kH - 1) * dH; p--) {  // i grows
            int i = element_at(down - p * sH, dH);
            if (i < 0) continue;
            for (int q = last_q; q >= 0 && right - q * sW <= (kW - 1) * dW; q--) {  // j grows
                int j = element_at(right - q * sW, dW);
                if (j < 0) continue;
                long long place = (((long long)n * oH + p) * oW + q) * ldk + (i * kW + j) * C + c;
                Numbers<LANES> part = *(const Numbers<LANES>*)(patches + place);
                EACH(lane) sum[lane] += (WIDE)part.lane[lane];
            }
        }
        EACH(lane) result.lane[lane] = REAL(sum[lane]);
        *target = result;
    }
}
extern "C" __global__ void col2im(const REAL* patches, REAL* images, int pixels, int pixel, int ldk, int add, WINDOWS)
{
    gather_columns<1>(patches, images, pixels, pixel, ldk, add, WINDOW_ARGUMENTS);
}
extern "C" __global__ void col2im_by_units(
    const REAL* patches, REAL* images, int pixels, int pixel, int ldk, int add, WINDOWS)
{
    gather_columns<UNIT>(patches, images, pixels, pixel, ldk, add, WINDOW_ARGUMENTS);
}

/* (N, H, W, C) -> the largest of each window, (N, oH, oW, C), and in `winners`, unless it is null, which one it is:
   element i*kW + j, the first of equal ones or the last NaN; kH*kW, if the window has no pixel at all. */
template <int LANES>
__device__ void take_largest(const REAL* x, REAL* y, unsigned char* winners, int windows, WINDOWS)
{
    int window = row_number();
    if (window >= windows) return;
    int q = window % oW, p = window / oW % oH, n = window / oW / oH;
    for (int c = threadIdx.x * LANES; c < C; c += blockDim.x * LANES) {
        Bytes<LANES> winner;
        WIDE largest[LANES];
        EACH(lane) winner.lane[lane] = kH * kW, largest[lane] = __int_as_float(0xff800000);  // minus infinity
        for (int i = 0; i < kH; i++) {
            int h = p * sH - top + i * dH;
            if (h < 0 || h >= H) continue;
            for (int j = 0; j < kW; j++) {
                int w = q * sW - left + j * dW;
                if (w < 0 || w >= W) continue;
                Numbers<LANES> numbers = *(const Numbers<LANES>*)(x + (((long long)n * H + h) * W + w) * C + c);
                EACH(lane) {
                    WIDE value = numbers.lane[lane];
                    if (value > largest[lane] || value != value || winner.lane[lane] == kH * kW) {
                        largest[lane] = value;
                        winner.lane[lane] = i * kW + j;
                    }
                }
            }
        }
        long long target = (long long)window * C + c;
        Numbers<LANES> result;
        EACH(lane) result.lane[lane] = REAL(largest[lane]);
        *(Numbers<LANES>*)(y + target) = result;
        if (winners) *(Bytes<LANES>*)(winners + target) = winner;
    }
}
extern "C" __global__ void max_pool(const REAL* x, REAL* y, unsigned char* winners, int windows, WINDOWS)
{
    take_largest<1>(x, y, winners, windows, WINDOW_ARGUMENTS);
}
extern "C" __global__ void max_pool_by_units(const REAL* x, REAL* y, unsigned char* winners, int windows, WINDOWS)
{
    take_largest<UNIT>(x, y, winners, windows, WINDOW_ARGUMENTS);
}

/* (N, oH, oW, C) -> (N, H, W, C): each pixel gathers the gradients of the windows that it won; first those of one row
   of windows are added, then the rows. */
template <int LANES>
__device__ void gather_gradients(
    const REAL* grad_y, const unsigned char* winners, REAL* grad_x, int pixels, WINDOWS)
{
    int number = row_number();
    if (number >= pixels) return;
    int w = number % W, h = number / W % H, n = number / W / H;
    int down = h + top, right = w + left;
    int last_p = last_window(down, sH, oH), last_q = last_window(right, sW, oW);
    for (int c = threadIdx.x * LANES; c < C; c += blockDim.x * LANES) {
        WIDE sum[LANES];
        EACH(lane) sum[lane] = 0;
        for (int p = last_p; p >= 0 && down - p * sH <= (kH - 1) * dH; p--) {
            int i = element_at(down - p * sH, dH);
            if (i < 0) continue;
            WIDE row_sum[LANES];
            EACH(lane) row_sum[lane] = 0;
            for (int q = last_q; q >= 0 && right - q * sW <= (kW - 1) * dW; q--) {
                int j = element_at(right - q * sW, dW);
                if (j < 0) continue;
                long long window = (((long long)n * oH + p) * oW + q) * C + c;
                Bytes<LANES> winner = *(const Bytes<LANES>*)(winners + window);
                Numbers<LANES> gradient = *(const Numbers<LANES>*)(grad_y + window);
                EACH(lane) if (winner.lane[lane] == i * kW + j) row_sum[lane] += (WIDE)gradient.lane[lane];
            }
            EACH(lane) sum[lane] += row_sum[lane];
        }
        Numbers<LANES> result;
        EACH(lane) result.lane[lane] = REAL(sum[lane]);
        *(Numbers<LANES>*)(grad_x + (long long)number * C + c) = result;
    }
}
extern "C" __global__ void max_pool_gradient(
    const REAL* grad_y, const unsigned char* winners, REAL* grad_x, int pixels, WINDOWS)
{
    gather_gradients<1>(grad_y, winners, grad_x, pixels, WINDOW_ARGUMENTS);
}
extern "C" __global__ void max_pool_gradient_by_units(
    const REAL* grad_y, const unsigned char* winners, REAL* grad_x, int pixels, WINDOWS)
{
    gather_gradients<UNIT>(grad_y, winners, grad_x, pixels, WINDOW_ARGUMENTS);
}

/* y (M, O): y + bias, unless bias is null, and with `relu` what is above 0 of it; NaN stays NaN. */
template <int LANES> __device__ void add_bias(REAL* y, const REAL* bias, int rows, int O, int relu)
{
    int row = row_number();
    if (row >= rows) return;
    for (int o = threadIdx.x * LANES; o < O; o += blockDim.x * LANES) {
        Numbers<LANES>* target = (Numbers<LANES>*)(y + (long long)row * O + o);
        Numbers<LANES> value = *target, added = bias ? *(const Numbers<LANES>*)(bias + o) : Numbers<LANES>();
        EACH(lane) {
            if (bias) value.lane[lane] = REAL((WIDE)value.lane[lane] + (WIDE)added.lane[lane]);
            if (relu && (WIDE)value.lane[lane] <= 0) value.lane[lane] = REAL();
        }
        *target = value;
    }
}
extern "C" __global__ void add_bias_relu(REAL* y, const REAL* bias, int rows, int O, int relu)
{
    add_bias<1>(y, bias, rows, O, relu);
}
extern "C" __global__ void add_bias_relu_by_units(REAL* y, const REAL* bias, int rows, int O, int relu)
{
    add_bias<UNIT>(y, bias, rows, O, relu);
}

/* Part number r of the rows (M, O) is `length` of them, and becomes one: their sum, added in their order. */
template <int LANES> __device__ void add_rows(const REAL* rows, WIDE* sums, int M, int O, int length)
{
    int part = row_number();
    if (part >= (M + length - 1) / length) return;
    int first = part * length, last = min(first + length, M);
    for (int o = threadIdx.x * LANES; o < O; o += blockDim.x * LANES) {
        WIDE sum[LANES];
        EACH(lane) sum[lane] = 0;
#pragma unroll 4
        for (int row = first; row < last; row++) {
            Numbers<LANES> numbers = *(const Numbers<LANES>*)(rows + (long long)row * O + o);
            EACH(lane) sum[lane] += (WIDE)numbers.lane[lane];
        }
        EACH(lane) sums[(long long)part * O + o + lane] = sum[lane];
    }
}
extern "C" __global__ void sum_rows(const REAL* rows, WIDE* sums, int M, int O, int length)
{
    add_rows<1>(rows, sums, M, O, length);
}
extern "C" __global__ void sum_rows_by_units(const REAL* rows, WIDE* sums, int M, int O, int length)
{
    add_rows<UNIT>(rows, sums, M, O, length);
}

/* The gradient passes where y is above 0, or NaN. */
template <int LANES> __device__ void pass_gradient(const REAL* grad_y, const REAL* y, REAL* grad_x, long long count)
{
    long long e = element_number() * LANES;
    if (e >= count) return;
    Numbers<LANES> gradient = *(const Numbers<LANES>*)(grad_y + e), value = *(const Numbers<LANES>*)(y + e);
    EACH(lane) if ((WIDE)value.lane[lane] <= 0) gradient.lane[lane] = REAL();
    *(Numbers<LANES>*)(grad_x + e) = gradient;
}
extern "C" __global__ void relu_gradient(const REAL* grad_y, const REAL* y, REAL* grad_x, long long count)
{
    pass_gradient<1>(grad_y, y, grad_x, count);
}
extern "C" __global__ void relu_gradient_by_units(const REAL* grad_y, const REAL* y, REAL* grad_x, long long count)
{
    pass_gradient<UNIT>(grad_y, y, grad_x, count);
}

/* Philox4x64-10: 256 random bits, as four words, for each value of a counter.
   J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011. */
__device__ void philox(unsigned long long counter, unsigned long long key, unsigned long long words[4])
{
    unsigned long long a = counter, b = 0, c = 0, d = 0, low_key = key, high_key = 0;
    for (int round = 0; round < 10; round++) {
        unsigned long long high_a = __umul64hi(0xD2E7470EE14C6C93ULL, a), low_a = 0xD2E7470EE14C6C93ULL * a;
        unsigned long long high_c = __umul64hi(0xCA5A826395121157ULL, c), low_c = 0xCA5A826395121157ULL * c;
        a = high_c ^ b ^ low_key;
        b = low_c;
        c = high_a ^ d ^ high_key;
        d = low_a;
        low_key += 0x9E3779B97F4A7C15ULL;
        high_key += 0xBB67AE8584CAA73BULL;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

/* Number `start + e` of the batch stays, times `scale`, if the 32-bit word of that number is at least `threshold`; else
   it becomes 0. Words are those of NumPy's Philox, which counts before it makes the first. A thread has eight of them. */
extern "C" __global__ void dropout(
    const REAL* x, REAL* y, long long count, unsigned long long seed, long long start, long long threshold,
    double scale)
{
    long long block = start / 8 + element_number(), first = block * 8 - start;
    if (first >= count) return;
    unsigned long long words[4];
    philox(block + 1, seed, words);
#pragma unroll
    for (int lane = 0; lane < 8; lane++) {
        long long e = first + lane;
        long long word = words[lane / 2] >> (lane % 2 * 32) & 0xFFFFFFFFULL;
        if (0 <= e && e < count) y[e] = word >= threshold ? REAL((WIDE)x[e] * (WIDE)scale) : REAL(0);
    }
}

/* The sum, or the largest, of the numbers of a block's threads, of which there are a power of two up to 256. */
__device__ WIDE over_block(WIDE value, bool largest)
{
    __shared__ WIDE partial[256];
    partial[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            WIDE other = partial[threadIdx.x + half], own = partial[threadIdx.x];
            partial[threadIdx.x] = largest ? (own > other ? own : other) : own + other;
        }
        __syncthreads();
    }
    WIDE result = partial[0];
    __syncthreads();  // before the next call overwrites it
    return result;
}

/* logits (N, K), labels (N,) -> log_probabilities (N, K), losses (N,); a block for each row. The loss of a label that
   is no class is NaN. */
extern "C" __global__ void cross_entropy(
    const REAL* logits, const long long* labels, WIDE* log_probabilities, WIDE* losses, int K, double smoothing)
{
    __shared__ WIDE picked;
    const REAL* row = logits + (long long)blockIdx.x * K;
    WIDE* log_row = log_probabilities + (long long)blockIdx.x * K;
    WIDE largest = __int_as_float(0xff800000), total = 0, log_total = 0;
    for (int k = threadIdx.x; k < K; k += blockDim.x) largest = row[k] > largest ? (WIDE)row[k] : largest;
    largest = over_block(largest, true);
    for (int k = threadIdx.x; k < K; k += blockDim.x) total += exp(row[k] - largest);
    WIDE normalizer = log(over_block(total, false));
    if (threadIdx.x == 0) picked = __int_as_float(0x7fc00000);  // NaN
    __syncthreads();
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        WIDE log_probability = row[k] - largest - normalizer;
        log_row[k] = log_probability;
        log_total += log_probability;
        if (k == labels[blockIdx.x]) picked = log_probability;
    }
    log_total = over_block(log_total, false);
    if (threadIdx.x == 0)
        losses[blockIdx.x] = smoothing == 0 ? -picked
                                            : (WIDE)(1 - smoothing) * -picked - (WIDE)smoothing * (log_total / K);
}

/* grad_logits (N, K) = grad_losses (N,) times (probabilities minus targets); share is smoothing / K. */
extern "C" __global__ void cross_entropy_gradient(
    const WIDE* grad_losses, const WIDE* log_probabilities, const long long* labels, REAL* grad_logits, int rows, int K,
    double smoothing, double share)
{
    int row = row_number();
    if (row >= rows) return;
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        WIDE difference = exp(log_probabilities[(long long)row * K + k]) - (WIDE)share;
        if (k == labels[row]) difference -= (WIDE)(1 - smoothing);
        grad_logits[(long long)row * K + k] = REAL(difference * grad_losses[row]);
    }
}

/* Up to 32 parameters, each with its gradient and, unless there is no momentum, its velocity (else null). Number i has
   the blocks from first_block[i] on; behind the last one's stands how many blocks there are. */
struct Parameters {
    WIDE* data[32];
    const WIDE* grad[32];
    WIDE* velocity[32];
    long long size[32];
    int first_block[33];
};

/* One step of gradient descent for all of them. A thread has four numbers: it reads all before it writes any. */
extern "C" __global__ void sgd(Parameters parameters, double lr, double momentum, double weight_decay, int nesterov)
{
    int number = 0;
    while (blockIdx.x >= parameters.first_block[number + 1]) number++;
    WIDE *data = parameters.data[number], *velocity = parameters.velocity[number];
    const WIDE* grad = parameters.grad[number];
    long long size = parameters.size[number];
    long long first = (long long)(blockIdx.x - parameters.first_block[number]) * 4 * blockDim.x + threadIdx.x;
    WIDE value[4], step[4], v[4];
#pragma unroll
    for (int lane = 0; lane < 4; lane++) {
        long long e = first + lane * blockDim.x;
        value[lane] = e < size ? data[e] : 0;
        step[lane] = e < size ? grad[e] : 0;
        v[lane] = e < size && velocity ? velocity[e] : 0;
    }
#pragma unroll
    for (int lane = 0; lane < 4; lane++) {
        long long e = first + lane * blockDim.x;
        if (e >= size) continue;
        if (weight_decay != 0) step[lane] += value[lane] * (WIDE)weight_decay;
        if (velocity) {
            v[lane] = v[lane] * (WIDE)momentum + step[lane];
            velocity[e] = v[lane];
            step[lane] = nesterov ? step[lane] + v[lane] * (WIDE)momentum : v[lane];
        }
        data[e] = value[lane] - step[lane] * (WIDE)lr;
    }
}
