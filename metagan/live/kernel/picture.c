// Features to colours, and colours to bytes.
#include "simd.h"

// weights[channels][in] * s[in] to colours[in][4], so that one vector holds a pixel's colours.
static void modulate_colours(const float *weights, const float *s, float *colours, int channels, int in) {
  __builtin_memset(colours, 0, 4 * in * sizeof(float));
  for (int c = 0; c < channels; c++)
    for (int i = 0; i < in; i++) colours[4 * i + c] = weights[c * in + i] * s[i];
}

// b + sum over i of x[i] colours[i]
static inline Four colour(const float *x, const float *colours, Four b, int in) {
  Four even = b, odd = splat(0);
  for (int i = 0; i < in; i += 2) {
    even = fma(splat_at(x + i), load(colours + 4 * i), even);
    odd = fma(splat_at(x + i + 1), load(colours + 4 * i + 4), odd);
  }
  return add(even, odd);
}

// Pixel (row, column) of an image [size][size][4]; zero outside.
static inline Four pixel(const float *image, int row, int column, int size) {
  if (row < 0 || column < 0 || row >= size || column >= size) return splat(0);
  return load(image + (row * size + column) * 4);
}

// (3 a + b) / 4
static inline Four quarter(Four a, Four b) { return fma(b, splat(0.25f), mul(a, splat(0.75f))); }

// Pixel (row, column) of an image of `half` at twice its size. Between zeros the filter [1, 3, 3, 1] has two taps: the
// nearest pixel and, at even places, the one before it, at odd ones the one after it.
static inline Four doubled(const float *image, int row, int column, int half) {
  int r = row / 2, c = column / 2, down = row % 2 ? 1 : -1, right = column % 2 ? 1 : -1;
  Four near = quarter(pixel(image, r, c, half), pixel(image, r, c + right, half));
  Four far = quarter(pixel(image, r + down, c, half), pixel(image, r + down, c + right, half));
  return quarter(near, far);
}

// image[size][size][4] = clamp(1x1 conv(s * x) + b) + former at twice its size
//
// (Karras et al. 2020, arXiv:1912.04958, section 4.1, output skips). x has a border, images have none; former is 0 for
// the first image. b has four elements. work: 4 * in floats.
void EXPORT(colour_picture)(const float *x, float *image, const float *former, const float *weights, const float *s,
                            const float *b, float clamp, float *work, int size, int channels, int in) {
  Four bias = load(b), high = splat(clamp), low = splat(-clamp);
  modulate_colours(weights, s, work, channels, in);
  for (int row = 0; row < size; row++)
    for (int column = 0; column < size; column++, image += 4) {
      Four y = colour(x + inside(row, column, size, in), work, bias, in);
      y = larger(smaller(y, high), low);
      if (former) y = add(y, doubled(former, row, column, size / 2));
      store(image, y);
    }
}

// trunc(clamp(127.5 v + 128, 0, 255)), as published generators round.
static unsigned char byte_of(float v) {
  float scaled = v * 127.5f + 128;
  return scaled > 0 ? (scaled < 255 ? (unsigned char)scaled : 255) : 0;
}

// image [pixels][4] to RGBA bytes: 1 channel is grey, 3 are RGB, 4 are RGBA.
void EXPORT(to_bytes)(const float *image, unsigned char *bytes, int pixels, int channels) {
  for (int p = 0; p < pixels; p++, image += 4, bytes += 4) {
    for (int c = 0; c < 3; c++) bytes[c] = byte_of(image[channels < 3 ? 0 : c]);
    bytes[3] = channels == 4 ? byte_of(image[3]) : 255;
  }
}
