// What an upscaler needs besides convolutions: PReLU, residuals, the pixel shuffle, and pictures in and out.
//
// References: He et al. 2015, arXiv:1502.01852 (PReLU); Shi et al. 2016, arXiv:1609.05158, section 3.2 (pixel shuffle).
// A convolution's 2x2 pixels lie behind each other, [2][2][channels], so that a pixel's channels move as one piece.
#include "upscale.h"

#include "picture.h"

void rectify_rows(float *y, const float *slopes, const float *residual, int width, int channels, int from, int to) {
  Vector none = splat(0);
  for (int row = from; row < to; row++) {
    int first = inside(row, 0, width, channels);
    for (int p = first; p < first + width * channels; p += channels)
      for (int c = 0; c < channels; c += W) {
        Vector v = load(y + p + c), below = smaller(v, none);
        v = fma(below, load(slopes + c), larger(v, none));
        store(y + p + c, residual ? add(v, load(residual + p + c)) : v);
      }
  }
}

// y = prelu(y) + residual inside the border, both planes [height + 2][width + 2][channels]; residual may be 0 for none.
//
// y comes from `convolve`, whose activation has divided negative sums by 5: slopes[channels] are 5 times PReLU's own,
// and 5 where there is no activation.
void EXPORT(rectify)(float *y, const float *slopes, const float *residual, int height, int width, int channels) {
  rectify_rows(y, slopes, residual, width, channels, 0, height);
}

void shuffle_rows(const float *pixels, float *plane, int width, int in, int channels, int out, int from, int to) {
  for (int row = from; row < to; row++)
    for (int column = 0; column < 2 * width; column++)
      __builtin_memcpy(plane + inside(row, column, 2 * width, out),
                       pixels + inside(row / 2, column / 2, width, in) + (row % 2 * 2 + column % 2) * channels,
                       channels * sizeof(float));
}

// from[height + 2][width + 2][in], pixels [2][2][channels], to the inside of to[2 height + 2][2 width + 2][out];
// channels beyond the last are zeros already.
void EXPORT(shuffle)(const float *from, float *to, int height, int width, int in, int channels, int out) {
  shuffle_rows(from, to, width, in, channels, out, 0, 2 * height);
}

static inline float within(float v) { return v > -1 ? (v < 1 ? v : 1) : -1; }

void take_rows(Colours image, float *plane, int width, int plane_width, int channels, int from, int to) {
  for (int row = from; row < to; row++) {
    const float *pixel = image.first + row * image.row;
    for (int column = 0; column < width; column++, pixel += image.pixel)
      for (int c = 0; c < 3; c++)
        plane[inside(row, column, plane_width, channels) + c] = within(pixel[c * image.colour]);
  }
}

// image[height][width][4] to the inside of plane[height + 2][width + 2][wide], within [-1, 1]; the other channels are zeros
// already.
void EXPORT(take_picture)(const float *image, float *plane, int height, int width, int wide) {
  take_rows((Colours){image, 4 * width, 4, 1}, plane, width, width, wide, 0, height);
}

void give_rows(Colours image, const float *missing, unsigned char *bytes, int colours, int width, int factor, int half,
               int in, int from, int to) {
  int shift = factor / 2;  // the factor is 2 or 4
  for (int row = from; row < to; row++)
    for (int column = 0; column < width; column++, bytes += colours) {
      const float *near = image.first + (row >> shift) * image.row + (column >> shift) * image.pixel;
      const float *more = missing + inside(row / 2, column / 2, half, in) + (row % 2 * 2 + column % 2) * 3;
      for (int c = 0; c < 3; c++) bytes[c] = byte_of(within(near[c * image.colour]) + more[c]);
      if (colours == 4) bytes[3] = 255;
    }
}

// The nearest-neighbour enlargement of image[height][width][4], and on top of it missing, whose pixels are [2][2][3] at
// half the result's size, to RGBA bytes.
void EXPORT(give_picture)(const float *image, const float *missing, unsigned char *bytes, int height, int width,
                          int factor, int in) {
  give_rows((Colours){image, 4 * width, 4, 1}, missing, bytes, 4, width * factor, factor, width * factor / 2, in, 0,
            height * factor);
}
