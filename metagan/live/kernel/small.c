// Convolutions of the smallest features, where transforms cost more than they spare: one matrix product each. Their
// kernels take a quarter of the memory, which is what so few pixels wait for.
#include "fir.h"
#include "multiply.h"
#include "simd.h"

// Kernels [out][in][3][3] to packed[wide_out / LANES][9 * wide_in][LANES]: a column of the matrix is a kernel, tap by tap.
void EXPORT(small_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, 9 * wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++)
      for (int tap = 0; tap < 9; tap++)
        to[packed(tap * wide_in + i, o, 9 * wide_in)] = w[(o * in + i) * 9 + tap];
}

// Kernels [out][in][3][3] to packed[9 * wide_out / LANES][wide_in][LANES]: nine matrices side by side, one a tap.
void EXPORT(small_upsampling_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, 9 * wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++)
      for (int tap = 0; tap < 9; tap++)
        to[packed(i, tap * wide_out + o, wide_in)] = w[(o * in + i) * 9 + tap];
}

// to[in] = s * the pixel at `from`.
static void modulate_pixel(const float *from, const float *s, float *to, int in) {
  for (int i = 0; i < in; i += W) store(to + i, mul(load(from + i), load(s + i)));
}

int convolve_small_part_floats(const Layer *l, int channels) {
  return l->pictures * pixels_of(l->size) * (9 * l->in + channels);
}

// y[size][out] = finish(conv3x3(s * x)): every output pixel's nine inputs in a row, times all kernels. A part is
// some of the channels.
void convolve_small_part(const Layer *l, Part p, float *work) {
  int width = l->size.width, pixels = pixels_of(l->size), in = l->in, inner = 9 * in;
  float *to = work, *sums = work + l->pictures * pixels * inner;
  for (int picture = 0; picture < l->pictures; picture++)
    for (int pixel = 0; pixel < pixels; pixel++)
      for (int tap = 0; tap < 9; tap++, to += in)
        modulate_pixel(input_of(l, picture) + inside(pixel / width + tap / 3 - 1, pixel % width + tap % 3 - 1, width, in),
                       l->s + picture * in, to, in);
  multiply(work, l->kernels + p.channel * inner, sums,
           (Product){1, l->pictures * pixels, inner, p.channels, inner, 0, p.channels, 0});
  for (int picture = 0; picture < l->pictures; picture++) {
    Finish f = finish_of(l, picture, p);
    for (int pixel = 0; pixel < pixels; pixel++, sums += p.channels) {
      Vector noise = splat(noise_at(f, pixel / width, pixel % width, width));
      float *y = output_of(l, picture) + inside(pixel / width, pixel % width, width, l->out) + p.channel;
      for (int o = 0; o < p.channels; o += W)
        store(y + o, finish(load(sums + o), load(f.gain + o), add(load(f.bias + o), noise), f.clamp));
    }
  }
}

// band[2r + tap / 3][2c + tap % 3] += products[r][c]: what a transposed convolution of stride 2 does with one tap.
static void scatter(const float *products, float *band, Size half, int channels, int tap) {
  int row = (2 * half.width + 1) * channels;
  for (int pixel = 0; pixel < pixels_of(half); pixel++, products += channels) {
    float *to = band + (2 * (pixel / half.width) + tap / 3) * row + (2 * (pixel % half.width) + tap % 3) * channels;
    for (int o = 0; o < channels; o += W) store(to + o, add(load(to + o), load(products + o)));
  }
}

int convolve_up_small_part_floats(const Layer *l, int channels) {
  int pixels = l->pictures * pixels_of(l->from), band = (l->size.height + 3) * (l->size.width + 1) * channels;
  return pixels * (l->in + channels) + l->pictures * band + FIR_LINE(l->from.width, channels);
}

// y[size][out] = finish(fir(transposed conv3x3(s * x))): every pixel times all kernels, tap by tap, each added
// where it belongs. The filter's factor, 1/16, belongs to gain. A part is some of the channels.
void convolve_up_small_part(const Layer *l, Part p, float *work) {
  int half = l->from.width, pixels = pixels_of(l->from), all = l->pictures * pixels;
  int row = (l->size.width + 1) * p.channels, band_floats = (l->size.height + 3) * row;
  float *products = work + all * l->in, *band = products + all * p.channels, *line = band + l->pictures * band_floats;
  for (int pixel = 0; pixel < all; pixel++)
    modulate_pixel(input_of(l, pixel / pixels) + inside(pixel % pixels / half, pixel % half, half, l->in),
                   l->s + pixel / pixels * l->in, work + pixel * l->in, l->in);
  __builtin_memset(band, 0, l->pictures * band_floats * sizeof(float));
  for (int tap = 0; tap < 9; tap++) {
    multiply(work, l->kernels + (tap * l->out + p.channel) * l->in, products,
             (Product){1, all, l->in, p.channels, l->in, 0, p.channels, 0});
    for (int picture = 0; picture < l->pictures; picture++)
      scatter(products + picture * pixels * p.channels, band + picture * band_floats + row, l->from, p.channels, tap);
  }
  for (int picture = 0; picture < l->pictures; picture++)
    finish_rows((Band){band + picture * band_floats, -1, half, p.channels}, 0, l->size.height, line,
                output_of(l, picture) + p.channel, l->out, finish_of(l, picture, p));
}

// Floats of work that `convolve_small` takes.
int EXPORT(convolve_small_floats)(int height, int width, int in, int out) {
  Size size = {height, width};
  Layer l = {.pictures = 1, .from = size, .size = size, .in = in, .out = out};
  return convolve_small_part_floats(&l, out);
}

// One picture's whole layer, both planes with borders, x's being zero. work: `convolve_small_floats`.
void EXPORT(convolve_small)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                            const float *bias, const float *noise, float clamp, float *work, int height,
                            int width, int in, int out) {
  Size size = {height, width};
  Layer l = {x, 0, y, kernels, s, gain, bias, noise, 0, clamp, 1, size, size, in, out};
  convolve_small_part(&l, (Part){0, 1, 0, out}, work);
}

// Floats of work that `convolve_up_small` takes; height and width are the input's.
int EXPORT(convolve_up_small_floats)(int height, int width, int in, int out) {
  Size half = {height, width};
  Layer l = {.pictures = 1, .from = half, .size = doubled_size(half), .in = in, .out = out};
  return convolve_up_small_part_floats(&l, out);
}

// One picture's whole layer, both planes with borders, x's being zero. work: `convolve_up_small_floats`.
void EXPORT(convolve_up_small)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                               const float *bias, const float *noise, float clamp, float *work, int height,
                               int width, int in, int out) {
  Size half = {height, width};
  Layer l = {x, 0, y, kernels, s, gain, bias, noise, 0, clamp, 1, half, doubled_size(half), in, out};
  convolve_up_small_part(&l, (Part){0, 1, 0, out}, work);
}
