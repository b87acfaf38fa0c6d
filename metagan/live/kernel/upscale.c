// What an upscaler needs besides convolutions: PReLU, residuals, the pixel shuffle, and pictures in and out.
//
// References: He et al. 2015, arXiv:1502.01852 (PReLU); Shi et al. 2016, arXiv:1609.05158, section 3.2 (pixel shuffle).
// A convolution's 2x2 pixels lie behind each other, [2][2][channels], so that a pixel's channels move as one piece.
#include "picture.h"
#include "simd.h"

// y = prelu(y) + residual inside the border, both planes [height + 2][width + 2][channels]; residual may be 0 for none.
//
// y comes from `convolve`, whose activation has divided negative sums by 5: slopes[channels] are 5 times PReLU's own,
// and 5 where there is no activation.
void EXPORT(rectify)(float *y, const float *slopes, const float *residual, int height, int width, int channels) {
  Vector none = splat(0);
  for (int row = 0; row < height; row++) {
    int first = inside(row, 0, width, channels);
    for (int p = first; p < first + width * channels; p += channels)
      for (int c = 0; c < channels; c += W) {
        Vector v = load(y + p + c), below = smaller(v, none);
        v = fma(below, load(slopes + c), larger(v, none));
        store(y + p + c, residual ? add(v, load(residual + p + c)) : v);
      }
  }
}

// from[height + 2][width + 2][in], pixels [2][2][channels], to the inside of to[2 height + 2][2 width + 2][out];
// channels beyond the last are zeros already.
void EXPORT(shuffle)(const float *from, float *to, int height, int width, int in, int channels, int out) {
  for (int row = 0; row < 2 * height; row++)
    for (int column = 0; column < 2 * width; column++)
      __builtin_memcpy(to + inside(row, column, 2 * width, out),
                       from + inside(row / 2, column / 2, width, in) + (row % 2 * 2 + column % 2) * channels,
                       channels * sizeof(float));
}

static inline float within(float v) { return v > -1 ? (v < 1 ? v : 1) : -1; }

// image[height][width][4] to the inside of plane[height + 2][width + 2][wide], within [-1, 1]; the other channels are zeros
// already.
void EXPORT(take_picture)(const float *image, float *plane, int height, int width, int wide) {
  for (int row = 0; row < height; row++)
    for (int column = 0; column < width; column++, image += 4)
      for (int c = 0; c < 3; c++) plane[inside(row, column, width, wide) + c] = within(image[c]);
}

// The nearest-neighbour enlargement of image[height][width][4], and on top of it missing, whose pixels are [2][2][3] at
// half the result's size, to RGBA bytes.
void EXPORT(give_picture)(const float *image, const float *missing, unsigned char *bytes, int height, int width,
                          int factor, int in) {
  int half = width * factor / 2;
  for (int row = 0; row < height * factor; row++)
    for (int column = 0; column < width * factor; column++, bytes += 4) {
      const float *near = image + (row / factor * width + column / factor) * 4;
      const float *more = missing + inside(row / 2, column / 2, half, in) + (row % 2 * 2 + column % 2) * 3;
      for (int c = 0; c < 3; c++) bytes[c] = byte_of(within(near[c]) + more[c]);
      bytes[3] = 255;
    }
}
