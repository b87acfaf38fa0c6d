// What StyleGAN3 has at one pixel alone: its input, and convolutions of one tap.
#include "native.h"
#include "../finish.h"

// y[size] = M x, and zeros around it: l->x is Fourier features [from][in] without a border (Karras et al. 2021,
// arXiv:2106.12423, section 3.2), and their mix M is l->kernels. A part is some rows of y.
void waves_part(const Layer *l, int margin, Part p, int picture) {
  int side = l->from.width, in = l->in, out = l->out;
  for (int row = p.begin; row < p.end; row++) {
    float *y = output_of(l, picture) + inside(row, 0, l->size.width, out);
    __builtin_memset(y, 0, sizeof(float) * l->size.width * out);
    if (row >= margin && row < margin + l->from.height)
      multiply(input_of(l, picture) + (row - margin) * side * in, l->kernels, y + margin * out,
               (Product){1, side, in, out, in, 0, out, 0});
  }
}

int point_part_floats(const Layer *l, int rows) { return rows * l->size.width * l->in; }

// y[size][out] = finish(conv1x1(s * x)). A part is some rows.
void point_part(const Layer *l, Part p, int picture, float *work) {
  int width = l->size.width, in = l->in, out = l->out, rows = p.end - p.begin;
  const float *s = l->s + picture * in;
  float *to = work, *y = output_of(l, picture) + inside(p.begin, 0, width, out);
  for (int row = p.begin; row < p.end; row++) {
    const float *x = input_of(l, picture) + inside(row, 0, width, in);
    for (int n = 0; n < width; n++, x += in, to += in)
      for (int i = 0; i < in; i += W) store(to + i, mul(load(x + i), load(s + i)));
  }
  multiply(work, l->kernels, y, (Product){rows, width, in, out, in, width * in, out, (width + 2) * out});
  Finish f = finish_of(l, picture, (Part){.channels = out});
  for (int row = 0; row < rows; row++, y += 2 * out)
    for (int n = 0; n < width; n++, y += out)
      for (int o = 0; o < out; o += W)
        store(y + o, finish(load(y + o), load(f.gain + o), load(f.bias + o), f.clamp));
}
