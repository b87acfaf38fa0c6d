#include "fir.h"

// a + 3 b + 3 c + d: the filter [1, 3, 3, 1] that published networks use, without its factor.
static inline Vector taps(Vector a, Vector b, Vector c, Vector d) { return fma(add(b, c), splat(3), add(a, d)); }

// Four rows to one, with a zero pixel before and after it.
static void filter_down(const float *row, int count, int channels, float *line) {
  __builtin_memset(line, 0, channels * sizeof(float));
  __builtin_memset(line + channels + count, 0, channels * sizeof(float));
  for (int i = 0; i < count; i += W)
    store(line + channels + i, taps(load(row + i), load(row + count + i), load(row + 2 * count + i),
                                    load(row + 3 * count + i)));
}

// y[n] = finish(sum over t of f[t] line[n + t]), f = [1, 3, 3, 1].
static void finish_row(const float *line, int row, int width, int channels, float *y, int out, Finish f) {
  for (int column = 0; column < width; column++, line += channels) {
    Vector noise = splat(noise_at(f, row, column, width));
    float *to = y + inside(row, column, width, out);
    for (int o = 0; o < channels; o += W) {
      Vector sum = taps(load(line + o), load(line + channels + o), load(line + 2 * channels + o),
                        load(line + 3 * channels + o));
      store(to + o, finish(sum, load(f.gain + o), add(load(f.bias + o), noise), f.clamp));
    }
  }
}

// Row n of the result takes rows n - 1 to n + 2 of the transposed convolution (one row of padding).
void finish_rows(Band band, int from, int to, float *line, float *y, int out, Finish f) {
  int count = (2 * band.half_width + 1) * band.channels;
  for (int n = from; n < to; n++) {
    filter_down(band.rows + (n - 1 - band.first) * count, count, band.channels, line);
    finish_row(line, n, 2 * band.half_width, band.channels, y, out, f);
  }
}
