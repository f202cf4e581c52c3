// A fake libcublas for tests: matrix products on the host's memory, by NVIDIA's description of cublasGemmEx:
//
//     C = alpha * op(A) * op(B) + beta * C,   op(A) is m x k, op(B) k x n, C m x n,
//
// matrices in column-major order, element (i, j) of one with leading dimension ld at i + j*ld. A has at least m rows,
// or k where it is transposed; B at least k, or n; C at least m. It refuses what the description does not allow.
// Every product is noted, with what the handle had been told before.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };

struct Handle {
    int64_t number, stream, workspace, workspace_size, math_mode, destroyed;
};

std::mutex lock;
std::vector<Handle*> handles;
std::vector<std::vector<int64_t>> calls;
const char* failing = "";
int failing_status = 0;
bool wrong = false;

Handle* known(void* handle) {
    for (Handle* h : handles)
        if (h == handle && !h->destroyed) return h;
    return nullptr;
}

// Numbers of a sign, `exponent` bits and `mantissa` bits.
double decode(uint32_t bits, int exponent, int mantissa) {
    const int bias = (1 << (exponent - 1)) - 1;
    const double sign = bits >> (exponent + mantissa) & 1 ? -1 : 1;
    const int e = bits >> mantissa & ((1 << exponent) - 1);
    const double m = bits & ((1u << mantissa) - 1);
    if (e == (1 << exponent) - 1) return m ? NAN : sign * INFINITY;
    return sign * (e ? std::ldexp(m + (1 << mantissa), e - bias - mantissa) : std::ldexp(m, 1 - bias - mantissa));
}

uint32_t encode(double value, int exponent, int mantissa) {
    const int bias = (1 << (exponent - 1)) - 1;
    const uint32_t sign = std::signbit(value) ? 1u << (exponent + mantissa) : 0;
    const uint32_t infinity = ((1u << exponent) - 1) << mantissa;
    value = std::fabs(value);
    if (std::isnan(value)) return infinity | 1u << (mantissa - 1);
    if (value == 0) return sign;
    if (std::isinf(value)) return sign | infinity;
    const int e = std::max(std::ilogb(value), 1 - bias);
    const double steps = std::nearbyint(std::ldexp(value, mantissa - e));  // to even, as everywhere
    if (std::ldexp(steps, e - mantissa) >= std::ldexp(1.0, bias + 1)) return sign | infinity;
    return sign | (uint32_t(steps) + (uint32_t(e + bias - 1) << mantissa));
}

double load(const void* p, int type, int64_t i) {
    if (type == R_64F) return static_cast<const double*>(p)[i];
    if (type == R_32F) return static_cast<const float*>(p)[i];
    const uint16_t bits = static_cast<const uint16_t*>(p)[i];
    return type == R_16F ? decode(bits, 5, 10) : decode(bits, 8, 7);
}

void store(void* p, int type, int64_t i, double value) {
    if (type == R_64F) static_cast<double*>(p)[i] = value;
    else if (type == R_32F) static_cast<float*>(p)[i] = float(value);
    else static_cast<uint16_t*>(p)[i] = type == R_16F ? encode(value, 5, 10) : encode(value, 8, 7);
}

double to_tf32(double value) { return decode(encode(value, 8, 10), 8, 10); }

template <class Sum>
void multiply(bool ta, bool tb, int64_t m, int64_t n, int64_t k, Sum alpha, const void* A, int atype, int64_t lda,
              const void* B, int btype, int64_t ldb, Sum beta, void* C, int ctype, int64_t ldc, bool tf32) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            Sum sum = 0;
            for (int64_t l = 0; l < k; l++) {
                double a = load(A, atype, ta ? l + i * lda : i + l * lda);
                double b = load(B, btype, tb ? j + l * ldb : l + j * ldb);
                if (tf32) a = to_tf32(a), b = to_tf32(b);
                sum += Sum(a) * Sum(b);
            }
            if (wrong) sum += 1;
            // With beta 0, C is not read.
            store(C, ctype, i + j * ldc, alpha * sum + (beta == 0 ? 0 : beta * load(C, ctype, i + j * ldc)));
        }
}

int fails(const char* name) { return std::strcmp(name, failing) ? 0 : failing_status; }

int gemm(const char* name, void* handle, int transa, int transb, int64_t m, int64_t n, int64_t k, const void* alpha,
         const void* A, int atype, int64_t lda, const void* B, int btype, int64_t ldb, const void* beta, void* C,
         int ctype, int64_t ldc, int compute, int algo, bool wide) {
    std::lock_guard<std::mutex> guard(lock);
    if (int status = fails(name)) return status;
    Handle* h = known(handle);
    if (!h) return NOT_INITIALIZED;
    if (m < 0 || n < 0 || k < 0 || transa < 0 || transa > 2 || transb < 0 || transb > 2) return INVALID_VALUE;
    if (lda < std::max<int64_t>(1, transa ? k : m) || ldb < std::max<int64_t>(1, transb ? n : k)) return INVALID_VALUE;
    if (ldc < std::max<int64_t>(1, m) || !alpha || !beta || !A || !B || !C) return INVALID_VALUE;
    const bool same = atype == btype && atype == ctype, halves = atype == R_16F || atype == R_16BF;
    const bool in_floats = (same && (halves || atype == R_32F)) || (halves && atype == btype && ctype == R_32F);
    const bool allowed = compute == COMPUTE_64F             ? same && atype == R_64F
                         : compute == COMPUTE_32F_FAST_TF32 ? same && atype == R_32F
                                                            : compute == COMPUTE_32F && in_floats;
    if (!allowed || algo != -1) return NOT_SUPPORTED;
    calls.push_back({h->number, h->stream, h->workspace, h->workspace_size, h->math_mode, compute, wide});
    if (compute == COMPUTE_64F)
        multiply<double>(transa, transb, m, n, k, *static_cast<const double*>(alpha), A, atype, lda, B, btype, ldb,
                         *static_cast<const double*>(beta), C, ctype, ldc, false);
    else
        multiply<float>(transa, transb, m, n, k, *static_cast<const float*>(alpha), A, atype, lda, B, btype, ldb,
                        *static_cast<const float*>(beta), C, ctype, ldc,
                        compute == COMPUTE_32F_FAST_TF32);
    return SUCCESS;
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) {
    std::lock_guard<std::mutex> guard(lock);
    if (int status = fails("cublasCreate_v2")) return status;
    handles.push_back(new Handle{int64_t(handles.size()), -1, 0, 0, 0, 0});
    *handle = handles.back();
    return SUCCESS;
}

int cublasDestroy_v2(void* handle) {
    std::lock_guard<std::mutex> guard(lock);
    Handle* h = known(handle);
    if (!h) return NOT_INITIALIZED;
    h->destroyed = 1;
    return SUCCESS;
}

int cublasSetStream_v2(void* handle, void* stream) {
    std::lock_guard<std::mutex> guard(lock);
    if (int status = fails("cublasSetStream_v2")) return status;
    Handle* h = known(handle);
    if (!h) return NOT_INITIALIZED;
    h->stream = int64_t(stream);
    h->workspace = h->workspace_size = 0;  // "unconditionally resets the workspace back to the default workspace pool"
    return SUCCESS;
}

int cublasSetWorkspace_v2(void* handle, void* workspace, size_t size) {
    std::lock_guard<std::mutex> guard(lock);
    if (int status = fails("cublasSetWorkspace_v2")) return status;
    Handle* h = known(handle);
    if (!h) return NOT_INITIALIZED;
    if (int64_t(workspace) % 256) return INVALID_VALUE;
    h->workspace = int64_t(workspace);
    h->workspace_size = int64_t(size);
    return SUCCESS;
}

int cublasSetMathMode(void* handle, int mode) {
    std::lock_guard<std::mutex> guard(lock);
    if (int status = fails("cublasSetMathMode")) return status;
    Handle* h = known(handle);
    if (!h) return NOT_INITIALIZED;
    h->math_mode = mode;
    return SUCCESS;
}

const char* cublasGetStatusName(int status) {
    return status == NOT_INITIALIZED ? "CUBLAS_STATUS_NOT_INITIALIZED"
           : status == INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
           : status == NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                     : "CUBLAS_STATUS_SOMETHING";
}

int cublasGemmEx(void* handle, int transa, int transb, int m, int n, int k, const void* alpha, const void* A, int atype,
                 int lda, const void* B, int btype, int ldb, const void* beta, void* C, int ctype, int ldc, int compute,
                 int algo) {
    return gemm("cublasGemmEx", handle, transa, transb, m, n, k, alpha, A, atype, lda, B, btype, ldb, beta, C, ctype,
                ldc, compute, algo, false);
}

int cublasGemmEx_64(void* handle, int transa, int transb, int64_t m, int64_t n, int64_t k, const void* alpha,
                    const void* A, int atype, int64_t lda, const void* B, int btype, int64_t ldb, const void* beta,
                    void* C, int ctype, int64_t ldc, int compute, int algo) {
    return gemm("cublasGemmEx_64", handle, transa, transb, m, n, k, alpha, A, atype, lda, B, btype, ldb, beta, C, ctype,
                ldc, compute, algo, true);
}

// --- for the tests ---

int fake_calls() { return int(calls.size()); }

void fake_call(int number, int64_t* fields) {
    for (int64_t field : calls[number]) *fields++ = field;
}

int fake_handles(bool destroyed) {
    int count = 0;
    for (Handle* h : handles) count += h->destroyed == destroyed;
    return count;
}

// The function of that name returns `status` from here on; "" for none.
void fake_fail(const char* name, int status) {
    static char kept[64];
    std::strncpy(kept, name, sizeof kept - 1);
    failing = kept;
    failing_status = status;
}

void fake_wrong(bool yes) { wrong = yes; }
}
