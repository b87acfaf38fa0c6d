// The few names in which every formula of the kernel is written: a vector of W floats, and what it can do.
//
// Features lie as planes[height + 2][width + 2][channels], channels last, with a border of zeros around them, and the
// number of channels is padded with zeros to a multiple of LANES. Where a comment says [size], it is [height][width].
//
// A new instruction set states W, TALLEST and IN_ORDER here, and nothing anywhere else.
#ifndef METAGAN_SIMD_H
#define METAGAN_SIMD_H

#if defined(__wasm__)
#include <wasm_simd128.h>
#define EXPORT(name) __attribute__((export_name(#name))) name
#define W 4
#define TALLEST 6  // rows of a tile of the product: engines have fifteen registers to give away on x86
#define REGISTER "+r"
#else
#define EXPORT(name) __attribute__((visibility("default"))) name
#if defined(__AVX512F__)  // 32 registers
#define W 16
#define TALLEST 12
#define REGISTER "+v"
#elif defined(__AVX2__)  // 16 registers
#define W 8
#define TALLEST 6
#define REGISTER "+x"
#elif defined(__ARM_NEON)  // 32 registers
#define W 4
#define TALLEST 12
#define REGISTER "+w"
#else
#error "this instruction set has no vector here yet"
#endif
#endif

#define LANES (2 * W)  // output channels that a tile of the product takes: two vectors
#define GUARD 16       // floats between planes whose size is a power of two, which would share cache sets

// A sum stays where it is in the order of instructions: left to itself the compiler adds one sum's products in a row,
// each waiting for the former, and keeps all their factors meanwhile, for which no processor has registers enough.
#define IN_ORDER(value) __asm__ volatile("" : REGISTER(value))

// Small loops over arrays of vectors, which are registers once they are unrolled. In browsers the code stays small.
#if defined(__wasm__)
#define UNROLLED
#elif defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

typedef float Vector __attribute__((vector_size(4 * W)));
typedef float Pixel __attribute__((vector_size(16)));  // red, green, blue and alpha, however wide a vector is

#if defined(__wasm__)
// pmin and pmax are one instruction each; min and max would look for NaN, of which weights are free.
#define SMALLER(Type, a, b) ((Type)wasm_f32x4_pmin((v128_t)(a), (v128_t)(b)))
#define LARGER(Type, a, b) ((Type)wasm_f32x4_pmax((v128_t)(a), (v128_t)(b)))
#if defined(__wasm_relaxed_simd__)
#define FMA(Type, a, b, c) ((Type)wasm_f32x4_relaxed_madd((v128_t)(a), (v128_t)(b), (v128_t)(c)))
#else
#define FMA(Type, a, b, c) ((a) * (b) + (c))
#endif
#else
typedef int MaskVector __attribute__((vector_size(4 * W)));
typedef int MaskPixel __attribute__((vector_size(16)));
// Compilers know these for the one instruction that they are.
#define CHOOSE(Type, mask, a, b) ((Type)(((mask) & (Mask##Type)(a)) | (~(mask) & (Mask##Type)(b))))
#define SMALLER(Type, a, b) CHOOSE(Type, (a) < (b), a, b)
#define LARGER(Type, a, b) CHOOSE(Type, (a) > (b), a, b)
#if defined(__clang__)
#define FMA(Type, a, b, c) __builtin_elementwise_fma(a, b, c)
#else
#define FMA(Type, a, b, c)                                                                              \
  ({                                                                                                    \
    Type sum_;                                                                                          \
    for (unsigned l_ = 0; l_ < sizeof(Type) / 4; l_++) sum_[l_] = __builtin_fmaf((a)[l_], (b)[l_], (c)[l_]); \
    sum_;                                                                                               \
  })
#endif
#endif

// fma is a * b + c, rounded once, but twice in browsers without relaxed SIMD.
#define OPERATIONS(Type, _)                                                                             \
  typedef Type Loose##Type __attribute__((aligned(4), may_alias));                                      \
  static inline Type load##_(const float *from) { return *(const Loose##Type *)from; }                  \
  static inline void store##_(float *to, Type value) { *(Loose##Type *)to = value; }                    \
  static inline Type splat##_(float value) { return value - (Type){0}; }                                \
  static inline Type splat_at##_(const float *from) { return splat##_(*from); }                         \
  static inline Type add##_(Type a, Type b) { return a + b; }                                           \
  static inline Type sub##_(Type a, Type b) { return a - b; }                                           \
  static inline Type mul##_(Type a, Type b) { return a * b; }                                           \
  static inline Type smaller##_(Type a, Type b) { return SMALLER(Type, a, b); }                         \
  static inline Type larger##_(Type a, Type b) { return LARGER(Type, a, b); }                           \
  static inline Type fma##_(Type a, Type b, Type c) { return FMA(Type, a, b, c); }

OPERATIONS(Vector, )
OPERATIONS(Pixel, _pixel)

// The sum of a vector's elements, always in the same order.
static inline float sum_of(Vector v) {
  float lanes[W];
  store(lanes, v);
  for (int count = W / 2; count >= 1; count /= 2)
    for (int i = 0; i < count; i++) lanes[i] = lanes[2 * i] + lanes[2 * i + 1];
  return lanes[0];
}

// Of features or a picture, in pixels.
typedef struct {
  int height, width;
} Size;

static inline Size doubled_size(Size s) { return (Size){2 * s.height, 2 * s.width}; }
static inline int pixels_of(Size s) { return s.height * s.width; }

// Where the value of row, column begins in a plane with its border.
static inline int inside(int row, int column, int width, int channels) {
  return ((row + 1) * (width + 2) + column + 1) * channels;
}

#endif
