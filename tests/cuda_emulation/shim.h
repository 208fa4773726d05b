/* Included before the text of a CUDA kernel that is compiled for the CPU: CUDA's words, and functions of the same names as those
   that templates/cuda/ptx.cu.in leaves out under ACTUNE_EMULATED. What they do together is in emulator.c. */
#include <math.h>

#define ACTUNE_EMULATED 1
#define __device__
#define __global__
#define __forceinline__ inline
#define __restrict__ /* every kernel is also run in place */
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
/* One block runs at a time; the section is poisoned before each. */
#define __shared__ static __attribute__((section("emu_shared")))

struct emu_index {
    int x;
};
extern "C" {
extern emu_index threadIdx, blockIdx, blockDim, gridDim;
void emu_barrier(int line);
double emu_shuffle_down(unsigned mask, double value, int apart, int line);
double emu_shuffle_xor(unsigned mask, double value, int lanes, int line);
void emu_copy_async(void *to, const void *from, int bytes);
void emu_copy_commit(void);
void emu_copy_wait(int newest);
void emu_barrier_init(unsigned long long *barrier, int arrivals);
void emu_barrier_expect(unsigned long long *barrier, int bytes);
void emu_barrier_wait(unsigned long long *barrier, unsigned phase);
void emu_copy_bulk(void *to, const void *from, int bytes, unsigned long long *barrier);
void emu_misaligned(const void *address, int bytes);
void emu_wait_previous(void);
float emu_from_f16(unsigned short bits);
unsigned short emu_to_f16(float value);
unsigned short emu_to_bf16(float value);
float emu_from_8(int dtype, unsigned char bits);
unsigned char emu_to_8(int dtype, float value);
extern char __start_emu_shared __attribute__((weak)), __stop_emu_shared __attribute__((weak));
/* So that the section is there in every unit, and the emulator finds it. */
__attribute__((section("emu_shared"), used)) inline long emu_shared_anchor = 0;
void emu_shared_bounds(char **begin, char **end)
{
    *begin = &__start_emu_shared;
    *end = &__stop_emu_shared;
}
}

#define __syncthreads() emu_barrier(__LINE__)
#define __shfl_down_sync(mask, value, apart) emu_shuffle_down(mask, value, apart, __LINE__)
#define __shfl_up_sync(mask, value, apart) emu_shuffle_down(mask, value, -(apart), __LINE__)
#define __shfl_xor_sync(mask, value, lanes) emu_shuffle_xor(mask, value, lanes, __LINE__)

/* Threads take turns at barriers and shuffles only. */
static inline int atomicAdd(int *to, int value)
{
    int before = *to;
    *to += value;
    return before;
}

static inline float __int_as_float(int bits)
{
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

static inline int __float_as_int(float value)
{
    int bits;
    __builtin_memcpy(&bits, &value, 4);
    return bits;
}

static inline double __longlong_as_double(long long bits)
{
    double value;
    __builtin_memcpy(&value, &bits, 8);
    return value;
}

static inline long long __double_as_longlong(double value)
{
    long long bits;
    __builtin_memcpy(&bits, &value, 8);
    return bits;
}

/* Written into every vector struct of a kernel (unit.c): copies look at both addresses. */
#define EMU_CHECKED(NAME, N)                     \
    NAME() = default;                            \
    NAME(const NAME &from)                       \
    {                                            \
        *this = from;                            \
    }                                            \
    NAME &operator=(const NAME &from)            \
    {                                            \
        emu_misaligned(this, N);                 \
        emu_misaligned(&from, N);                \
        __builtin_memcpy(this, &from, sizeof *this); \
        return *this;                            \
    }

#define EMU_BYTES(N)                                                          \
    struct __align__(N) bytes_##N {                                           \
        unsigned int word[N / 4];                                             \
    };                                                                        \
    static inline bytes_##N load_##N(const void *from)                        \
    {                                                                         \
        bytes_##N to;                                                         \
        emu_misaligned(from, N);                                              \
        __builtin_memcpy(&to, from, N);                                       \
        return to;                                                            \
    }                                                                         \
    static inline void store_##N(void *to, bytes_##N from)                    \
    {                                                                         \
        emu_misaligned(to, N);                                                \
        __builtin_memcpy(to, &from, N);                                       \
    }                                                                         \
    static inline void copy_async_##N(void *to_shared, const void *from)      \
    {                                                                         \
        emu_misaligned(from, N);                                              \
        emu_misaligned(to_shared, N);                                         \
        emu_copy_async(to_shared, from, N);                                   \
    }
EMU_BYTES(4)
EMU_BYTES(8)
EMU_BYTES(16)
EMU_BYTES(32)

static inline void prefetch_l2(const void *) {}
static inline void copy_async_commit() { emu_copy_commit(); }
static inline void copy_async_wait_0() { emu_copy_wait(0); }
static inline void copy_async_wait_1() { emu_copy_wait(1); }
static inline void copy_async_wait_3() { emu_copy_wait(3); }
static inline void barrier_init(unsigned long long *barrier, int arrivals) { emu_barrier_init(barrier, arrivals); }
static inline void barrier_init_fence() {}
static inline void barrier_expect(unsigned long long *barrier, int bytes) { emu_barrier_expect(barrier, bytes); }
static inline void barrier_wait(unsigned long long *barrier, unsigned phase) { emu_barrier_wait(barrier, phase); }
static inline void copy_bulk(void *to, const void *from, int bytes, unsigned long long *barrier) { emu_copy_bulk(to, from, bytes, barrier); }
static inline void wait_for_previous_grid() { emu_wait_previous(); }
static inline void let_next_grid_start() {}

/* Approximate instructions and CUDA's functions at the edge of what they may be off (README.md, "Bounds"): to either side, decided by the
   input's bits. */
static inline float emu_edge(double exact, float x, double units, double relative, unsigned salt)
{
    unsigned bits = ((unsigned)__float_as_int(x) ^ salt) * 2654435761u;
    float near = (float)exact;
    if (!isfinite(near) || near == 0)
        return near;
    int exponent = ilogb(exact);
    double unit = ldexp(1, (exponent < -126 ? -126 : exponent) - 23), size = (units * unit + relative * fabs(exact)) * (1 - 0x1p-20);
    float off = (float)(exact + ((bits ^ bits >> 15) & 1 ? size : -size));
    return fabs(off - exact) <= size ? off : nextafterf(off, near);
}
static inline float emu_flush(float value) { return fabsf(value) < 0x1p-126f ? value * 0 : value; } /* .ftz */
static inline float exp2_approx_f32(float x) { return emu_flush(emu_edge(exp2((double)emu_flush(x)), x, 2, 0, 0x9e37u)); }
static inline float rcp_approx_f32(float x) { return emu_flush(emu_edge(1 / (double)emu_flush(x), x, 1, 0, 0x79b9u)); }
static inline float tanh_approx_f32(float x)
{
    float y = emu_edge(tanh((double)x), x, 0, 1.12e-5, 0x7f4au);
    return fabsf(y) > 1 ? copysignf(1, y) : y;
}

/* CUDA's own functions in f32. What is exact there stays exact: zeros and their signs, 1 at exp(0), saturated ends. */
static inline float emu_within(float value, float low, float high) { return value < low ? low : value > high ? high : value; }
#define EMU_LIBRARY(NAME, DOUBLE, UNITS, SALT, LOW, HIGH)                                                                        \
    static inline float emu_##NAME(float x)                                                                                     \
    {                                                                                                                           \
        double exact = DOUBLE((double)x);                                                                                       \
        return exact == LOW || exact == HIGH || x == 0 ? (float)exact : emu_within(emu_edge(exact, x, UNITS, 0, SALT), LOW, HIGH); \
    }
EMU_LIBRARY(expf, exp, 2, 0x85ebu, 0, INFINITY)
EMU_LIBRARY(exp2f, exp2, 2, 0xc2b2u, 0, INFINITY)
EMU_LIBRARY(expm1f, expm1, 1.5, 0x27d4u, -1, INFINITY)
EMU_LIBRARY(logf, log, 1, 0x1656u, -INFINITY, INFINITY)
EMU_LIBRARY(log2f, log2, 1, 0x9e37u, -INFINITY, INFINITY)
EMU_LIBRARY(log1pf, log1p, 1, 0xd3a2u, -INFINITY, INFINITY)
EMU_LIBRARY(tanhf, tanh, 2, 0x2f0bu, -1, 1)
EMU_LIBRARY(sinhf, sinh, 3, 0xfd70u, -INFINITY, INFINITY)
EMU_LIBRARY(coshf, cosh, 2, 0xb55au, 1, INFINITY)
EMU_LIBRARY(asinhf, asinh, 3, 0x4cf5u, -INFINITY, INFINITY)
EMU_LIBRARY(atanf, atan, 2, 0xad6du, -INFINITY, INFINITY)
EMU_LIBRARY(sinf, sin, 2, 0x56ddu, -1, 1)
EMU_LIBRARY(cosf, cos, 2, 0xa5a5u, -1, 1)
EMU_LIBRARY(tanf, tan, 4, 0x71d6u, -INFINITY, INFINITY)
EMU_LIBRARY(erff, erf, 2, 0x51edu, -1, 1)
EMU_LIBRARY(erfcf, erfc, 4, 0xe995u, 0, 2)
#define expf emu_expf
#define exp2f emu_exp2f
#define expm1f emu_expm1f
#define logf emu_logf
#define log2f emu_log2f
#define log1pf emu_log1pf
#define tanhf emu_tanhf
#define sinhf emu_sinhf
#define coshf emu_coshf
#define asinhf emu_asinhf
#define atanf emu_atanf
#define sinf emu_sinf
#define cosf emu_cosf
#define tanf emu_tanf
#define erff emu_erff
#define erfcf emu_erfcf

static inline float from_f16(unsigned short bits) { return emu_from_f16(bits); }
static inline unsigned short to_f16(float value) { return emu_to_f16(value); }
static inline unsigned short to_bf16(float value) { return emu_to_bf16(value); } /* sm_80 and newer */
static inline unsigned char to_i8(float value) { return emu_to_8(4, value); }
static inline unsigned char to_u8(float value) { return emu_to_8(5, value); }
static inline float from_f8e5m2(unsigned char bits) { return emu_from_8(7, bits); }
/* Templates, so that the code of architectures before sm_89, which do these in software, goes before them. */
template <class T> static inline float from_f8e4m3(T bits) { return emu_from_8(6, bits); }
template <class T> static inline unsigned char to_f8e4m3(T value) { return emu_to_8(6, value); }
template <class T> static inline unsigned char to_f8e5m2(T value) { return emu_to_8(7, value); }
