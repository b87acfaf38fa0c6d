// Features to colours, and colours to bytes.
#include "picture.h"
#include "simd.h"

#define PIXELS 4  // that are summed at once; where a row ends before them, its border and the next row are read too

void modulate_colours(const float *weights, const float *s, float *colours, int channels, int in) {
  __builtin_memset(colours, 0, 4 * in * sizeof(float));
  for (int c = 0; c < channels; c++)
    for (int i = 0; i < in; i++) colours[4 * i + c] = weights[c * in + i] * s[i];
}

// b + sum over i of x[i] colours[i], of some pixels in a row: one pixel's sum alone would wait for itself.
static inline void sum_colours(const float *x, const float *colours, Pixel b, int in, Pixel *sums) {
  Pixel even[PIXELS], odd[PIXELS];
  for (int p = 0; p < PIXELS; p++) even[p] = b, odd[p] = splat_pixel(0);
  for (int i = 0; i < in; i += 2) {
    Pixel first = load_pixel(colours + 4 * i), second = load_pixel(colours + 4 * i + 4);
    for (int p = 0; p < PIXELS; p++) {
      even[p] = fma_pixel(splat_at_pixel(x + p * in + i), first, even[p]);
      odd[p] = fma_pixel(splat_at_pixel(x + p * in + i + 1), second, odd[p]);
    }
  }
  for (int p = 0; p < PIXELS; p++) sums[p] = add_pixel(even[p], odd[p]);
}

// Pixel (row, column) of an image [size][4]; zero outside.
static inline Pixel pixel(const float *image, int row, int column, Size size) {
  if (row < 0 || column < 0 || row >= size.height || column >= size.width) return splat_pixel(0);
  return load_pixel(image + (row * size.width + column) * 4);
}

// (3 a + b) / 4
static inline Pixel quarter(Pixel a, Pixel b) { return fma_pixel(b, splat_pixel(0.25f), mul_pixel(a, splat_pixel(0.75f))); }

// Pixel (row, column) of an image of `half` at twice its size. Between zeros the filter [1, 3, 3, 1] has two taps: the
// nearest pixel and, at even places, the one before it, at odd ones the one after it.
static inline Pixel doubled(const float *image, int row, int column, Size half) {
  int r = row / 2, c = column / 2, down = row % 2 ? 1 : -1, right = column % 2 ? 1 : -1;
  Pixel near = quarter(pixel(image, r, c, half), pixel(image, r, c + right, half));
  Pixel far = quarter(pixel(image, r + down, c, half), pixel(image, r + down, c + right, half));
  return quarter(near, far);
}

void colour_rows(const float *x, float *image, const float *former, const float *colours, const float *b, float clamp,
                 Size size, int in, int from, int to) {
  Size half = {size.height / 2, size.width / 2};
  Pixel bias = load_pixel(b), high = splat_pixel(clamp), low = splat_pixel(-clamp);
  image += from * size.width * 4;
  for (int row = from; row < to; row++)
    for (int column = 0; column < size.width; column += PIXELS) {
      Pixel sums[PIXELS];
      sum_colours(x + inside(row, column, size.width, in), colours, bias, in, sums);
      for (int p = 0; p < PIXELS && column + p < size.width; p++, image += 4) {
        Pixel y = larger_pixel(smaller_pixel(sums[p], high), low);
        if (former) y = add_pixel(y, doubled(former, row, column + p, half));
        store_pixel(image, y);
      }
    }
}

// image[height][width][4] = clamp(1x1 conv(s * x) + b) + former at twice its size
//
// (Karras et al. 2020, arXiv:1912.04958, section 4.1, output skips). work: 4 * in floats.
void EXPORT(colour_picture)(const float *x, float *image, const float *former, const float *weights, const float *s,
                            const float *b, float clamp, float *work, int height, int width, int channels,
                            int in) {
  modulate_colours(weights, s, work, channels, in);
  colour_rows(x, image, former, work, b, clamp, (Size){height, width}, in, 0, height);
}

// image [pixels][4] to RGBA bytes: 1 channel is grey, 3 are RGB, 4 are RGBA.
void EXPORT(to_bytes)(const float *image, unsigned char *bytes, int pixels, int channels) {
  for (int p = 0; p < pixels; p++, image += 4, bytes += 4) {
    for (int c = 0; c < 3; c++) bytes[c] = byte_of(image[channels < 3 ? 0 : c]);
    bytes[3] = channels == 4 ? byte_of(image[3]) : 255;
  }
}
