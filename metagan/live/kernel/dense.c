// Fully connected layers, and what becomes of styles.
#include "simd.h"

// sum over i of a[i] b[i]
static float dot(const float *a, const float *b, int count) {
  Vector even = splat(0), odd = splat(0);
  int i = 0;
  for (; i + 2 * W <= count; i += 2 * W) {
    even = fma(load(a + i), load(b + i), even);
    odd = fma(load(a + i + W), load(b + i + W), odd);
  }
  float sum = sum_of(add(even, odd));
  for (; i < count; i++) sum += a[i] * b[i];
  return sum;
}

// y[out] = w[out][in] x[in] + b[out]
void EXPORT(dense)(const float *w, const float *b, const float *x, float *y, int out, int in) {
  for (int o = 0; o < out; o++) y[o] = dot(w + o * in, x, in) + b[o];
}

// x = sqrt(2) lrelu(x), in place.
void EXPORT(activate)(float *x, int count) {
  for (int i = 0; i < count; i++) x[i] = (x[i] < 0 ? 0.2f * x[i] : x[i]) * 1.41421356237f;
}

// y = x (mean(x^2) + 1e-8)^(-1/2) (Karras et al. 2018, arXiv:1710.10196, section 4.2)
void EXPORT(normalise)(const float *x, float *y, int count) {
  float scale = 1 / __builtin_sqrtf(dot(x, x, count) / count + 1e-8f);
  for (int i = 0; i < count; i++) y[i] = x[i] * scale;
}

// w = mean + psi (w - mean), in place (Karras et al. 2019, arXiv:1812.04948, appendix B).
void EXPORT(truncate)(const float *mean, float *w, float psi, int count) {
  for (int i = 0; i < count; i++) w[i] = mean[i] + psi * (w[i] - mean[i]);
}

// squares[wide_out][wide_in]: each kernel's sum of squared taps, of kernels [out][in][3][3].
void EXPORT(sum_squares)(const float *w, float *squares, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(squares, 0, wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++) {
      const float *taps = w + (o * in + i) * 9;
      float sum = 0;
      for (int tap = 0; tap < 9; tap++) sum += taps[tap] * taps[tap];
      squares[o * wide_in + i] = sum;
    }
}

// gain[o] = scale (sum over i of squares[o][i] s[i]^2 + 1e-8)^(-1/2)
// (Karras et al. 2020, arXiv:1912.04958, equation 3); channels are padded to a multiple of W.
void EXPORT(demodulate)(const float *squares, const float *s, float *gain, int out, int in, float scale) {
  for (int o = 0; o < out; o++, squares += in) {
    Vector sum = splat(0);
    for (int i = 0; i < in; i += W) sum = fma(load(squares + i), mul(load(s + i), load(s + i)), sum);
    gain[o] = scale / __builtin_sqrtf(sum_of(sum) + 1e-8f);
  }
}
