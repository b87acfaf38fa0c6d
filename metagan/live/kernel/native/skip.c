// The skip connection of residual networks: a 1x1 convolution to twice the size, on top of what is there.
//
// Karras et al. 2020, arXiv:1912.04958, figure 7c. Between zeros the filter [1, 3, 3, 1] has two taps: the nearest pixel
// and, at even places, the one before it, at odd ones the one after it.
#include "native.h"

// Kernels [out][in] to packed[wide_out / LANES][wide_in][LANES].
void EXPORT(skip_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, sizeof(float) * wide_out * wide_in);
  for (int o = 0; o < out; o++)
    for (int i = 0; i < in; i++) to[packed(i, o, wide_in)] = w[o * in + i];
}

int skip_part_floats(const Layer *l, int rows, int channels) { return (rows + 2) * (l->from.width + 2) * channels; }

// (3 a + b) / 4
static inline Vector quarter(const float *a, const float *b) {
  return fma(load(b), splat(0.25f), mul(load(a), splat(0.75f)));
}

// y += the 1x1 convolution of x at twice its size. A part is some rows of x, and some of the channels.
void skip_part(const Layer *l, Part p, float *work) {
  int half = l->from.width, channels = p.channels, row = (half + 2) * channels;
  __builtin_memset(work, 0, sizeof(float) * skip_part_floats(l, p.end - p.begin, channels));
  for (int r = p.begin - 1; r <= p.end; r++)
    if (r >= 0 && r < l->from.height)
      multiply(l->x + inside(r, 0, half, l->in), l->kernels + p.channel * l->in,
               work + (r - p.begin + 1) * row + channels, (Product){1, half, l->in, channels, l->in, 0, channels, 0});
  for (int r = 2 * p.begin; r < 2 * p.end; r++)
    for (int c = 0; c < l->size.width; c++) {
      const float *near = work + (r / 2 - p.begin + 1) * row + (c / 2 + 1) * channels;
      const float *far = near + (r % 2 ? row : -row);
      int aside = c % 2 ? channels : -channels;
      float *y = l->y + inside(r, c, l->size.width, l->out) + p.channel;
      for (int o = 0; o < channels; o += W) {
        Vector sum = fma(quarter(far + o, far + aside + o), splat(0.25f),
                         mul(quarter(near + o, near + aside + o), splat(0.75f)));
        store(y + o, add(load(y + o), sum));
      }
    }
}
