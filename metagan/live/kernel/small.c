// Convolutions of the smallest features, where transforms cost more than they spare: one matrix product each. Their
// kernels take a quarter of the memory, which is what so few pixels wait for.
#include "fir.h"
#include "multiply.h"
#include "simd.h"

// Kernels [out][in][3][3] to packed[wide_out / 8][9 * wide_in][8]: a column of the matrix is a kernel, tap by tap.
void EXPORT(small_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, 9 * wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++)
      for (int tap = 0; tap < 9; tap++)
        to[packed(tap * wide_in + i, o, 9 * wide_in)] = w[(o * in + i) * 9 + tap];
}

// Kernels [out][in][3][3] to packed[9 * wide_out / 8][wide_in][8]: nine matrices side by side, one a tap.
void EXPORT(small_upsampling_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, 9 * wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++)
      for (int tap = 0; tap < 9; tap++)
        to[packed(i, tap * wide_out + o, wide_in)] = w[(o * in + i) * 9 + tap];
}

// to[in] = s * the pixel at `from`.
static void modulate_pixel(const float *from, const float *s, float *to, int in) {
  for (int i = 0; i < in; i += 4) store(to + i, mul(load(from + i), load(s + i)));
}

// Floats of work that `convolve_small` takes.
int EXPORT(convolve_small_floats)(int size, int in, int out) { return size * size * (9 * in + out); }

// y[size][size][out] = finish(conv3x3(s * x)), both with borders, x's being zero: every output pixel's nine inputs in
// a row, times all kernels. work: `convolve_small_floats`.
void EXPORT(convolve_small)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                            const float *bias, const float *noise, float clamp, float *work, int size, int in,
                            int out) {
  Finish f = {gain, bias, noise, clamp};
  int pixels = size * size, inner = 9 * in;
  float *sums = work + pixels * inner;
  for (int p = 0; p < pixels; p++)
    for (int tap = 0; tap < 9; tap++)
      modulate_pixel(x + inside(p / size + tap / 3 - 1, p % size + tap % 3 - 1, size, in), s,
                     work + p * inner + tap * in, in);
  multiply(work, kernels, sums, (Product){1, pixels, inner, out, inner, 0, out, 0});
  for (int p = 0; p < pixels; p++) {
    Four noise_here = splat(noise_at(f, p / size, p % size, size));
    float *to = y + inside(p / size, p % size, size, out);
    for (int o = 0; o < out; o += 4)
      store(to + o,
            finish(load(sums + p * out + o), load(gain + o), add(load(bias + o), noise_here), clamp));
  }
}

// band[2r + tap / 3][2c + tap % 3] += products[r][c][tap]: what a transposed convolution of stride 2 is.
static void scatter(const float *products, float *band, int half, int out) {
  int row = (2 * half + 1) * out;
  for (int p = 0; p < half * half; p++)
    for (int tap = 0; tap < 9; tap++, products += out) {
      float *to = band + (2 * (p / half) + tap / 3) * row + (2 * (p % half) + tap % 3) * out;
      for (int o = 0; o < out; o += 4) store(to + o, add(load(to + o), load(products + o)));
    }
}

// Floats of work that `convolve_up_small` takes.
int EXPORT(convolve_up_small_floats)(int half, int in, int out) {
  return half * half * (in + 9 * out) + (2 * half + 3) * (2 * half + 1) * out + FIR_LINE(half, out);
}

// y[2 half][2 half][out] = finish(fir(transposed conv3x3(s * x))), both with borders: every pixel times the nine taps
// of all kernels, each added where it belongs. The filter's factor, 1/16, belongs to gain.
// work: `convolve_up_small_floats`.
void EXPORT(convolve_up_small)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                               const float *bias, const float *noise, float clamp, float *work, int half, int in,
                               int out) {
  int pixels = half * half, row = (2 * half + 1) * out, rows = 2 * half + 3;
  float *products = work + pixels * in, *band = products + pixels * 9 * out, *line = band + rows * row;
  for (int p = 0; p < pixels; p++) modulate_pixel(x + inside(p / half, p % half, half, in), s, work + p * in, in);
  multiply(work, kernels, products, (Product){1, pixels, in, 9 * out, in, 0, 9 * out, 0});
  __builtin_memset(band, 0, rows * row * sizeof(float));
  scatter(products, band + row, half, out);
  finish_rows((Band){band, -1, half, out}, 0, 2 * half, line, y, (Finish){gain, bias, noise, clamp});
}
