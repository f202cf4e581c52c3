/* The hot primitives in CUDA C.

   Symbols: N images, C channels, H x W pixels, windows of kH x kW, oH x oW of them, M rows of O numbers, K classes.
   Images are channels last, (N, H, W, C). The macro REAL is float or double; the module is compiled once for each.

   - Threads never meet: each writes its own numbers, and sums have a fixed order. One input, one result, to the bit.
     (Only the loss adds numbers of several threads, always in the same tree.)
   - Compiled without fused multiply-add, kernels round as the array module's lines do, which they replace.
   - Pixels, windows and rows are counted in 32 bits, because dividing by 64 is slow; where a number lies in memory,
     in 64 bits, because arrays do grow past 2^31 numbers. Python refuses what has too many pixels, windows or rows.
   - Where blocks are two-dimensional, x is the channel, which neighbours in memory, and y the pixel, window or row. */

/* Every kernel over windows takes these: window (p, q) begins at pixel (p*sH - top, q*sW - left), and its element (i, j)
   lies i*dH and j*dW further. What lies outside the image isn't read. */
#define WINDOWS \
    int H, int W, int C, int kH, int kW, int sH, int sW, int dH, int dW, int top, int left, int oH, int oW

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

/* Images, whose pixels lie `pixel` numbers apart, -> columns (windows, ldk): a row for each window, its kH runs of kW*C
   numbers side by side, then zeros. A row of threads copies one run. */
extern "C" __global__ void im2col(const REAL* images, REAL* columns, int runs, int pixel, int ldk, WINDOWS)
{
    int number = row_number();
    if (number >= runs) return;
    int i = number % kH, window = number / kH;
    int q = window % oW, p = window / oW % oH, n = window / oW / oH;
    int h = p * sH - top + i * dH, first = q * sW - left;
    bool inside = 0 <= h && h < H;
    const REAL* row = images + ((long long)n * H + (inside ? h : 0)) * W * pixel;
    REAL* run = columns + (long long)window * ldk + i * kW * C;
    if (dW == 1 && pixel == C) {  // the run lies in the image as it does here
        for (int e = threadIdx.x; e < kW * C; e += blockDim.x) {
            int source = first * C + e;
            run[e] = inside && 0 <= source && source < W * C ? row[source] : (REAL)0;
        }
    } else {
        for (int e = threadIdx.x; e < kW * C; e += blockDim.x) {
            int j = e / C, w = first + j * dW;
            run[e] = inside && 0 <= w && w < W ? row[(long long)w * pixel + e - j * C] : (REAL)0;
        }
    }
    if (i == kH - 1)
        for (int e = threadIdx.x; e < ldk - kH * kW * C; e += blockDim.x) run[kW * C + e] = 0;
}

/* Columns (windows, ldk) -> images: each pixel gathers the sum of all that im2col made of it, in the order of (i, j);
   with `add` it begins with what is there. */
extern "C" __global__ void col2im(const REAL* columns, REAL* images, int pixels, int pixel, int ldk, int add, WINDOWS)
{
    int number = row_number();
    if (number >= pixels) return;
    int w = number % W, h = number / W % H, n = number / W / H;
    int down = h + top, right = w + left;
    int last_p = last_window(down, sH, oH), last_q = last_window(right, sW, oW);
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        REAL* target = images + (long long)number * pixel + c;
        REAL sum = add ? *target : (REAL)0;
        for (int p = last_p; p >= 0 && down - p * sH <= (kH - 1) * dH; p--) {  // i grows
            int i = element_at(down - p * sH, dH);
            if (i < 0) continue;
            for (int q = last_q; q >= 0 && right - q * sW <= (kW - 1) * dW; q--) {  // j grows
                int j = element_at(right - q * sW, dW);
                if (j < 0) continue;
                sum += columns[(((long long)n * oH + p) * oW + q) * ldk + (i * kW + j) * C + c];
            }
        }
        *target = sum;
    }
}

/* (N, H, W, C) -> the largest of each window, (N, oH, oW, C), and in `winners`, unless it is null, which one it is:
   element i*kW + j, the first of equal ones or the last NaN; kH*kW, if the window has no pixel at all. */
extern "C" __global__ void max_pool(const REAL* x, REAL* y, unsigned char* winners, int windows, WINDOWS)
{
    int window = row_number();
    if (window >= windows) return;
    int q = window % oW, p = window / oW % oH, n = window / oW / oH;
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        int winner = kH * kW;
        REAL largest = __int_as_float(0xff800000);  // minus infinity
        for (int i = 0; i < kH; i++) {
            int h = p * sH - top + i * dH;
            if (h < 0 || h >= H) continue;
            for (int j = 0; j < kW; j++) {
                int w = q * sW - left + j * dW;
                if (w < 0 || w >= W) continue;
                REAL value = x[(((long long)n * H + h) * W + w) * C + c];
                if (value > largest || value != value || winner == kH * kW) {
                    largest = value;
                    winner = i * kW + j;
                }
            }
        }
        long long target = (long long)window * C + c;
        y[target] = largest;
        if (winners) winners[target] = winner;
    }
}

/* (N, oH, oW, C) -> (N, H, W, C): each pixel gathers the gradients of the windows that it won; first those of one row
   of windows are added, then the rows. */
extern "C" __global__ void max_pool_gradient(
    const REAL* grad_y, const unsigned char* winners, REAL* grad_x, int pixels, WINDOWS)
{
    int number = row_number();
    if (number >= pixels) return;
    int w = number % W, h = number / W % H, n = number / W / H;
    int down = h + top, right = w + left;
    int last_p = last_window(down, sH, oH), last_q = last_window(right, sW, oW);
    for (int c = threadIdx.x; c < C; c += blockDim.x) {
        REAL sum = 0;
        for (int p = last_p; p >= 0 && down - p * sH <= (kH - 1) * dH; p--) {
            int i = element_at(down - p * sH, dH);
            if (i < 0) continue;
            REAL row_sum = 0;
            for (int q = last_q; q >= 0 && right - q * sW <= (kW - 1) * dW; q--) {
                int j = element_at(right - q * sW, dW);
                long long window = (((long long)n * oH + p) * oW + q) * C + c;
                if (j >= 0 && winners[window] == i * kW + j) row_sum += grad_y[window];
            }
            sum += row_sum;
        }
        grad_x[(long long)number * C + c] = sum;
    }
}

/* y (M, O): y + bias, unless bias is null, and with `relu` what is above 0 of it; NaN stays NaN. */
extern "C" __global__ void add_bias_relu(REAL* y, const REAL* bias, int rows, int O, int relu)
{
    int row = row_number();
    if (row >= rows) return;
    for (int o = threadIdx.x; o < O; o += blockDim.x) {
        REAL* target = y + (long long)row * O + o;
        REAL value = bias ? *target + bias[o] : *target;
        *target = relu && value <= 0 ? (REAL)0 : value;
    }
}

/* The gradient passes where y is above 0, or NaN. */
extern "C" __global__ void relu_gradient(const REAL* grad_y, const REAL* y, REAL* grad_x, long long count)
{
    long long e = element_number();
    if (e < count) grad_x[e] = y[e] <= 0 ? (REAL)0 : grad_y[e];
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
        if (0 <= e && e < count) y[e] = word >= threshold ? x[e] * (REAL)scale : (REAL)0;
    }
}

/* The sum, or the largest, of the numbers of a block's threads, of which there are a power of two up to 256. */
__device__ REAL over_block(REAL value, bool largest)
{
    __shared__ REAL partial[256];
    partial[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            REAL other = partial[threadIdx.x + half], own = partial[threadIdx.x];
            partial[threadIdx.x] = largest ? (own > other ? own : other) : own + other;
        }
        __syncthreads();
    }
    REAL result = partial[0];
    __syncthreads();  // before the next call overwrites it
    return result;
}

/* logits (N, K), labels (N,) -> log_probabilities (N, K), losses (N,); a block for each row. The loss of a label that
   is no class is NaN. */
extern "C" __global__ void cross_entropy(
    const REAL* logits, const long long* labels, REAL* log_probabilities, REAL* losses, int K, double smoothing)
{
    __shared__ REAL picked;
    const REAL* row = logits + (long long)blockIdx.x * K;
    REAL* log_row = log_probabilities + (long long)blockIdx.x * K;
    REAL largest = __int_as_float(0xff800000), total = 0, log_total = 0;
    for (int k = threadIdx.x; k < K; k += blockDim.x) largest = row[k] > largest ? row[k] : largest;
    largest = over_block(largest, true);
    for (int k = threadIdx.x; k < K; k += blockDim.x) total += exp(row[k] - largest);
    REAL normalizer = log(over_block(total, false));
    if (threadIdx.x == 0) picked = __int_as_float(0x7fc00000);  // NaN
    __syncthreads();
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        REAL log_probability = row[k] - largest - normalizer;
        log_row[k] = log_probability;
        log_total += log_probability;
        if (k == labels[blockIdx.x]) picked = log_probability;
    }
    log_total = over_block(log_total, false);
    if (threadIdx.x == 0)
        losses[blockIdx.x] = smoothing == 0 ? -picked
                                            : (REAL)(1 - smoothing) * -picked - (REAL)smoothing * (log_total / K);
}

/* grad_logits (N, K) = grad_losses (N,) times (probabilities minus targets); share is smoothing / K. */
extern "C" __global__ void cross_entropy_gradient(
    const REAL* grad_losses, const REAL* log_probabilities, const long long* labels, REAL* grad_logits, int rows, int K,
    double smoothing, double share)
{
    int row = row_number();
    if (row >= rows) return;
    for (int k = threadIdx.x; k < K; k += blockDim.x) {
        REAL difference = exp(log_probabilities[(long long)row * K + k]) - (REAL)share;
        if (k == labels[row]) difference -= (REAL)(1 - smoothing);
        grad_logits[(long long)row * K + k] = difference * grad_losses[row];
    }
}

/* One step of gradient descent; velocity is null without momentum. */
extern "C" __global__ void sgd(
    REAL* data, const REAL* grad, REAL* velocity, long long count, double lr, double momentum, double weight_decay,
    int nesterov)
{
    long long e = element_number();
    if (e >= count) return;
    REAL step = grad[e];
    if (weight_decay != 0) step += data[e] * (REAL)weight_decay;
    if (velocity) {
        REAL v = velocity[e] * (REAL)momentum + step;
        velocity[e] = v;
        step = nesterov ? step + v * (REAL)momentum : v;
    }
    data[e] -= step * (REAL)lr;
}
