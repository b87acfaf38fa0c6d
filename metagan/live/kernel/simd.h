// Four floats at a time: the few names in which every formula of the kernel is written.
//
// Features lie as planes[(size + 2)][(size + 2)][channels], channels last, with a border of zeros around them, and
// the number of channels is padded with zeros to a multiple of LANES. Sizes are multiples of 4, being 4 * 2^k.
#ifndef METAGAN_SIMD_H
#define METAGAN_SIMD_H

#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(#name))) name
#define LANES 8   // output channels that a tile of the product takes: two vectors
#define GUARD 16  // floats between planes whose size is a power of two, which would share cache sets

typedef v128_t Four;

static inline Four load(const float *from) { return wasm_v128_load(from); }
static inline void store(float *to, Four value) { wasm_v128_store(to, value); }
static inline Four splat(float value) { return wasm_f32x4_splat(value); }
static inline Four splat_at(const float *from) { return wasm_v128_load32_splat(from); }
static inline Four add(Four a, Four b) { return wasm_f32x4_add(a, b); }
static inline Four sub(Four a, Four b) { return wasm_f32x4_sub(a, b); }
static inline Four mul(Four a, Four b) { return wasm_f32x4_mul(a, b); }
// pmin and pmax are one instruction each; min and max would look for NaN, of which weights are free.
static inline Four smaller(Four a, Four b) { return wasm_f32x4_pmin(a, b); }
static inline Four larger(Four a, Four b) { return wasm_f32x4_pmax(a, b); }

// a * b + c, rounded once where the engine has it (relaxed SIMD), twice elsewhere.
static inline Four fma(Four a, Four b, Four c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
#endif
}

// Where the value of row, column begins in a plane with its border.
static inline int inside(int row, int column, int size, int channels) {
  return ((row + 1) * (size + 2) + column + 1) * channels;
}

#endif
