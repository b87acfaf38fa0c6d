// StyleGAN3's filtered non-linearity: upsample, leaky ReLU, clamp, downsample.
//
// Karras et al. 2021, arXiv:2106.12423, section 3.1 and figure 4b: a non-linearity makes frequencies that the sampling
// rate can't hold, so it is computed at a higher one, between two low-pass filters.
//
// One vector of channels goes through all of it row by row, and what lies between the steps stays in the cache:
//
//   rows of x               the last `reach` of them, without the other channels
//   up along the columns    `up` rows at a time, from the same rows of x
//   up along the row        then lrelu and clamp
//   down along the row      unless the second filter is radial
//   down along the columns  or along both axes: a row of y
//
// Between zeros, the first filter has `reach` taps for each of `up` phases. Every step is then the same sum.
#include "native.h"

#define BLOCK 8  // results that are summed at once: one alone would wait for itself

// y[n] = sum over t of taps[t] x[t][n], of W channels; of x and y, n counts `x_step` and `y_step` floats.
typedef struct {
  const float *const *x;
  const float *taps;
  int count;  // of taps
  int x_step;
  float *y;
  int y_step;
} Sum;

static inline __attribute__((always_inline)) void sum_block(const Sum *s, int n, int block, int active, float clamp) {
  Vector sums[BLOCK];
  UNROLLED for (int i = 0; i < block; i++) sums[i] = splat(0);
  for (int t = 0; t < s->count; t++) {
    Vector tap = splat_at(s->taps + t);
    const float *x = s->x[t] + n * s->x_step;
    UNROLLED for (int i = 0; i < block; i++) sums[i] = fma(load(x + i * s->x_step), tap, sums[i]);
  }
  UNROLLED for (int i = 0; i < block; i++) {
    if (active) {
      sums[i] = larger(sums[i], mul(sums[i], splat(0.2f)));
      sums[i] = larger(smaller(sums[i], splat(clamp)), splat(-clamp));
    }
    store(s->y + (n + i) * s->y_step, sums[i]);
  }
}

// The last block begins where the row ends with it, and computes some results again.
static inline __attribute__((always_inline)) void sum_row(const Sum *s, int count, int active, float clamp) {
  if (count < BLOCK)
    for (int n = 0; n < count; n++) sum_block(s, n, 1, active, clamp);
  else
    for (int n = 0; n < count; n += BLOCK) sum_block(s, n + BLOCK <= count ? n : count - BLOCK, BLOCK, active, clamp);
}

static void filter_row(const Sum *s, int count) { sum_row(s, count, 0, 0); }
static void filter_and_activate_row(const Sum *s, int count, float clamp) { sum_row(s, count, 1, clamp); }

// The smallest integer that isn't below a / b; b is positive.
static int ceil_of(int a, int b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }
static int most(int a, int b) { return a > b ? a : b; }

// How the samples between the filters lie along a row. The first ones are a group of `up` that inputs `first` and up
// to `reach` - 1 after it give; `lead` of the group come before the sample that the second filter begins with.
typedef struct {
  int first, lead, groups;
  int inputs, kept;  // pixels of a line of inputs; of a line that the last step takes
} Line;

static Line line_of(const Filter *f) {
  Line line = {.first = ceil_of(-f->left, f->up)};
  int between = (f->result.width - 1) * f->down + f->length;
  line.lead = f->up - 1 - f->left - f->up * line.first;
  line.groups = (line.lead + between + f->up - 1) / f->up;
  line.inputs = line.groups + f->reach - 1;
  line.kept = f->radial ? line.groups * f->up : f->result.width;
  return line;
}

// A part's call, and where its work lies.
typedef struct {
  const Layer *l;
  const Filter *f;
  Line line;
  int channel;
  float *rows;     // [reach], the last rows of inputs
  float *raised;   // one row of inputs at the higher rate along the columns
  float *between;  // a line between the filters
  float *kept;     // [length], what the last step takes
  const float **x;
} Work;

// Lay the work out from `at` on; the answer is how many floats it takes.
static int lay_out(Work *w, float *at) {
  const Filter *f = w->f;
  float *begin = at;
  w->line = line_of(f);
  w->rows = at;
  at += f->reach * w->line.inputs * W;
  w->raised = at;
  at += w->line.inputs * W;
  w->between = at;
  at += w->line.groups * f->up * W;
  w->kept = at;
  at += f->length * w->line.kept * W;
  w->x = (const float **)at;
  at += most(f->reach, f->radial ? f->length * f->length : f->length) * (int)(sizeof(const float *) / sizeof(float));
  return at - begin;
}

int filter_part_floats(const Layer *l, const Filter *f) {
  float start[1];
  Work w = {.l = l, .f = f};
  return lay_out(&w, start);
}

// Row i of the inputs to its place among the last ones, with zeros outside. Convolutions end in lrelu, which divides
// negative sums by 5.
static void take_row(const Work *w, const float *x, int i) {
  const Filter *f = w->f;
  int row = ((i % f->reach) + f->reach) % f->reach;
  float *to = w->rows + row * w->line.inputs * W;
  for (int n = 0; n < w->line.inputs; n++, to += W) {
    int column = w->line.first + n;
    if (i < 0 || i >= f->given.height || column < 0 || column >= f->given.width) {
      store(to, splat(0));
      continue;
    }
    Vector v = load(x + inside(i, column, w->l->from.width, w->l->in) + w->channel);
    store(to, smaller(v, mul(v, splat(5))));
  }
}

// To `to`, the row between the filters that is of phase `phase` in the group that begins with input row `first`.
static void fill_between(const Work *w, int first, int phase, float clamp, float *to) {
  const Filter *f = w->f;
  for (int k = 0; k < f->reach; k++) {
    int row = (((first + k) % f->reach) + f->reach) % f->reach;
    w->x[k] = w->rows + row * w->line.inputs * W;
  }
  filter_row(&(Sum){w->x, f->before + phase * f->reach, f->reach, W, w->raised, W}, w->line.inputs);
  for (int k = 0; k < f->reach; k++) w->x[k] = w->raised + k * W;
  for (int p = 0; p < f->up; p++)
    filter_and_activate_row(&(Sum){w->x, f->before + p * f->reach, f->reach, W, to + p * W, f->up * W},
                            w->line.groups, clamp);
}

static float *kept_row(const Work *w, int m) { return w->kept + m % w->f->length * w->line.kept * W; }

// Row m between the filters, filtered along the row.
static void keep_row(const Work *w, int m) {
  const Filter *f = w->f;
  for (int t = 0; t < f->length; t++) w->x[t] = w->between + (w->line.lead + t) * W;
  filter_row(&(Sum){w->x, f->after, f->length, f->down * W, kept_row(w, m), W}, f->result.width);
}

// Row n of the result to y, of l->out channels.
static void finish_row(const Work *w, int n, float *y) {
  const Filter *f = w->f;
  int across = f->radial ? f->length : 1, step = f->radial ? f->down * W : W;
  for (int r = 0; r < f->length; r++)
    for (int t = 0; t < across; t++)
      w->x[r * across + t] = kept_row(w, n * f->down + r) + (f->radial ? w->line.lead + t : 0) * W;
  filter_row(&(Sum){w->x, f->after, f->length * across, step, y, w->l->out}, f->result.width);
}

// W channels of `pixels` pixels become zero.
static void clear_pixels(float *y, int pixels, int channels) {
  for (int n = 0; n < pixels; n++) store(y + n * channels, splat(0));
}

// y[size] = the result, and zeros around it. A part is some rows of y, and W of the channels; where it doesn't begin
// with the first row, it computes again the rows between the filters that it shares with the part before it.
void filter_part(const Layer *l, const Filter *f, int margin, Part p, int picture, float *work) {
  Work w = {.l = l, .f = f, .channel = p.channel};
  lay_out(&w, work);
  const float *x = input_of(l, picture);
  float *y = output_of(l, picture) + p.channel;
  int from = most(p.begin - margin, 0), to = p.end - margin < f->result.height ? p.end - margin : f->result.height;
  for (int row = p.begin; row < p.end; row++) {
    int beyond = row < margin + from || row >= margin + to, end = beyond ? 0 : margin + f->result.width;
    clear_pixels(y + inside(row, 0, l->size.width, l->out), beyond ? 0 : margin, l->out);
    clear_pixels(y + inside(row, end, l->size.width, l->out), l->size.width - end, l->out);
  }
  if (from >= to) return;
  int m = from * f->down, last = (to - 1) * f->down + f->length, n = from;
  int taken = ceil_of(m - f->above, f->up);
  for (; m < last; m++) {
    int first = ceil_of(m - f->above, f->up), phase = m - f->above - f->up * (first - 1) - 1;
    for (; taken < first + f->reach; taken++) take_row(&w, x, taken);
    fill_between(&w, first, phase, l->clamp, f->radial ? kept_row(&w, m) : w.between);
    if (!f->radial) keep_row(&w, m);
    if (m == n * f->down + f->length - 1) {
      finish_row(&w, n, y + inside(margin + n, margin, l->size.width, l->out));
      n++;
    }
  }
}
