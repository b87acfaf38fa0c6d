// Upsampling 3x3 convolutions: a transposed convolution of stride 2 by Winograd, then the filter.
//
// Along one axis a transposed convolution of x by w is two interleaved ones, of an even and an odd phase,
//
//   y[2j] = w[2] x[j - 1] + w[0] x[j],  y[2j + 1] = w[1] x[j],
//
// of which the first is Winograd's F(4, 2) with the points 0, 1, -1, 2 and infinity (Lavin & Gray 2016,
// arXiv:1509.09308) and the second needs no transform: 5 + 4 = 9 products for 8 results instead of 12. Along both
// axes it is 81 products for a tile of 4x4 inputs and 8x8 results, instead of 144; all at the lower resolution.
#include "fir.h"
#include "multiply.h"
#include "simd.h"

#define POINTS 5                  // of the even phase
#define PHASES (POINTS + 1)       // matrices of weights along an axis: one a point, and the odd phase's
#define STEPS (POINTS + 4)        // products of a tile along an axis
#define TILE_SIZE 4               // inputs of a tile along an axis; results are twice as many
#define CARRY 3                   // rows of the former band that the filter still needs
#define EDGE_TAPS 5

// Taps that make the last row and column of the result, in the order in which they are packed: the first three make
// the column, the last three the row.
static const int EDGE[EDGE_TAPS] = {2, 5, 8, 7, 6};

// Three taps to the even phase's five points and the odd phase.
static inline void spread_taps(const Vector w[3], Vector g[PHASES]) {
  Vector sixth = splat(1.0f / 6);
  g[0] = mul(w[2], splat(0.5f));
  g[1] = mul(add(w[2], w[0]), splat(0.5f));
  g[2] = mul(sub(w[2], w[0]), sixth);
  g[3] = mul(fma(w[0], splat(2), w[2]), sixth);
  g[4] = w[0];
  g[5] = w[1];
}

// W kernels [3][3] to the weights of all phases, `plane` floats apart, and after them the edges' taps.
static void spread_kernels(const Vector w[9], float *to, int plane) {
  Vector half[3][PHASES];
  UNROLLED for (int row = 0; row < 3; row++) spread_taps(w + 3 * row, half[row]);
  UNROLLED for (int j = 0; j < PHASES; j++) {
    Vector column[PHASES], taps[3] = {half[0][j], half[1][j], half[2][j]};
    spread_taps(taps, column);
    UNROLLED for (int i = 0; i < PHASES; i++) store(to + (i * PHASES + j) * plane, column[i]);
  }
  for (int e = 0; e < EDGE_TAPS; e++) store(to + (PHASES * PHASES + e) * plane, w[EDGE[e]]);
}

// Floats that `upsampling_kernels` fills.
int EXPORT(upsampling_kernels_floats)(int wide_out, int wide_in) {
  return (PHASES * PHASES + EDGE_TAPS) * wide_out * wide_in;
}

// Kernels [out][in][3][3] to packed[36][wide_out / LANES][wide_in][LANES], then the edges' taps,
// packed[5 * wide_out / LANES][wide_in][LANES].
void EXPORT(upsampling_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  int matrix = wide_out * wide_in;
  __builtin_memset(to, 0, (PHASES * PHASES + EDGE_TAPS) * matrix * sizeof(float));
  for (int o = 0; o < out; o += W)
    for (int i = 0; i < in; i++) {
      Vector taps[9];
      load_taps(w, o, i, out, in, taps);
      spread_kernels(taps, to + packed(i, o, wide_in), matrix);
    }
}

// Inputs j - 1 to j + 3 of one axis to five points; the four of the odd phase follow as they are.
static inline void spread(const Vector d[POINTS], Vector t[STEPS]) {
  Vector two = splat(2), slope = sub(d[3], d[1]), sum = sub(d[2], d[3]);
  t[0] = fma(sub(d[0], d[2]), two, slope);
  t[1] = fma(d[1], two, sum);
  t[2] = fma(sub(d[2], d[1]), two, sum);
  t[3] = slope;
  t[4] = fma(slope, splat(-2), sub(d[4], d[2]));
  UNROLLED for (int i = 0; i < TILE_SIZE; i++) t[POINTS + i] = d[i + 1];
}

// Nine products of one axis to eight results, even and odd in turn.
static inline void gather(const Vector m[STEPS], Vector y[2 * TILE_SIZE]) {
  Vector a = add(m[1], m[2]), b = sub(m[1], m[2]);
  y[0] = add(add(m[0], a), m[3]);
  y[2] = fma(m[3], splat(2), b);
  y[4] = fma(m[3], splat(4), a);
  y[6] = add(fma(m[3], splat(8), b), m[4]);
  UNROLLED for (int i = 0; i < TILE_SIZE; i++) y[2 * i + 1] = m[POINTS + i];
}

// W channels of one tile: inputs at x, its rows `row` floats apart, to 81 planes `plane` floats apart.
static inline void spread_tile(const float *x, int row, int channels, Vector s, float *to, int plane) {
  Vector half[POINTS][STEPS];
  UNROLLED for (int r = 0; r < POINTS; r++) {
    Vector d[POINTS];
    UNROLLED for (int i = 0; i < POINTS; i++) d[i] = mul(load(x + r * row + i * channels), s);
    spread(d, half[r]);
  }
  UNROLLED for (int j = 0; j < STEPS; j++) {
    Vector column[POINTS], t[STEPS];
    UNROLLED for (int r = 0; r < POINTS; r++) column[r] = half[r][j];
    spread(column, t);
    UNROLLED for (int i = 0; i < STEPS; i++) store(to + (i * STEPS + j) * plane, t[i]);
  }
}

// W channels of one tile: 81 products `plane` floats apart to 8x8 results at y, its rows `row` floats apart.
static inline void gather_tile(const float *m, int plane, float *y, int row, int channels) {
  Vector half[2 * TILE_SIZE][STEPS];
  UNROLLED for (int j = 0; j < STEPS; j++) {
    Vector column[STEPS], t[2 * TILE_SIZE];
    UNROLLED for (int i = 0; i < STEPS; i++) column[i] = load(m + (i * STEPS + j) * plane);
    gather(column, t);
    UNROLLED for (int r = 0; r < 2 * TILE_SIZE; r++) half[r][j] = t[r];
  }
  UNROLLED for (int r = 0; r < 2 * TILE_SIZE; r++) {
    Vector t[2 * TILE_SIZE];
    gather(half[r], t);
    UNROLLED for (int c = 0; c < 2 * TILE_SIZE; c++) store(y + r * row + c * channels, t[c]);
  }
}

// A part of a layer's call, and where its work lies.
typedef struct {
  const Layer *l;
  Part p;
  float *planes, *sums, *band, *line, *side, *edge;
  int tile_rows;  // rows of tiles whose results are filtered at a time
  int chunk;      // tiles that are multiplied at a time
} Up;

static int across_of(const Up *u) { return u->l->from.width / TILE_SIZE; }
static int in_plane(const Up *u) { return u->chunk * u->l->in + GUARD; }
static int out_plane(const Up *u) { return u->chunk * u->p.channels + GUARD; }
static int band_row(const Up *u) { return (u->l->size.width + 1) * u->p.channels; }
static int band_floats(const Up *u) { return (CARRY + 2 * TILE_SIZE * u->tile_rows) * band_row(u); }
static int longest(Size s) { return s.height > s.width ? s.height : s.width; }
static int edge_floats(const Up *u) { return longest(u->l->from) * 3 * u->p.channels; }

// Lay the work out from `work` on; the answer is how many floats it takes.
static int lay_out(Up *u, float *work) {
  float *at = work;
  u->planes = at;
  at += STEPS * STEPS * in_plane(u);
  u->sums = at;
  at += STEPS * STEPS * out_plane(u);
  u->band = at;
  at += u->l->pictures * band_floats(u);
  u->line = at;
  at += FIR_LINE(u->l->from.width, u->p.channels);
  u->side = at;
  at += longest(u->l->from) * u->l->in;
  u->edge = at;
  at += u->l->pictures * edge_floats(u);
  return at - work;
}

int convolve_up_part_floats(const Layer *l, int channels, int tile_rows, int chunk) {
  float start[1];
  Up u = {.l = l, .p = {0, 0, 0, channels}, .tile_rows = tile_rows, .chunk = chunk};
  return lay_out(&u, start);
}

// edge[pictures][inputs along it][3][channels]: pixels of x from (row, column) on, a step apart, times three of the edges' taps.
static void multiply_edge(const Up *u, int row, int column, int row_step, int column_step, int first_tap) {
  const Layer *l = u->l;
  int along = row_step ? l->from.height : l->from.width, in = l->in, channels = u->p.channels;
  for (int picture = 0; picture < l->pictures; picture++) {
    for (int n = 0; n < along; n++) {
      const float *pixel =
          input_of(l, picture) + inside(row + n * row_step, column + n * column_step, l->from.width, in);
      for (int i = 0; i < in; i += W)
        store(u->side + n * in + i, mul(load(pixel + i), load(l->s + picture * in + i)));
    }
    for (int tap = 0; tap < 3; tap++) {
      const float *taps = l->kernels + ((PHASES * PHASES + first_tap + tap) * l->out + u->p.channel) * in;
      multiply(u->side, taps, u->edge + picture * edge_floats(u) + tap * channels,
               (Product){1, along, in, channels, in, 0, 3 * channels, 0});
    }
  }
}

// y[2p] = edge[p][even] + edge[p - 1][2 - even], y[2p + 1] = edge[p][1]: one result of the last column (even = 0) or
// row (even = 2).
static void gather_edge(const Up *u, int picture, int place, int even, float *y) {
  int p = place / 2, channels = u->p.channels, width = 3 * channels;
  int along = even ? u->l->from.width : u->l->from.height;
  const float *here = u->edge + picture * edge_floats(u) + p * width;
  for (int o = 0; o < channels; o += W) {
    Vector sum = splat(0);
    if (place % 2) sum = load(here + channels + o);
    if (place % 2 == 0 && p < along) sum = load(here + even * channels + o);
    if (place % 2 == 0 && p > 0) sum = add(sum, load(here - width + (2 - even) * channels + o));
    store(y + o, sum);
  }
}

// The 36 products of some tiles; planes of an odd phase share their weights.
static void multiply_planes(const Up *u, int tiles) {
  int a = in_plane(u), c = out_plane(u), in = u->l->in, channels = u->p.channels;
  for (int i = 0; i < STEPS; i++)
    for (int j = 0; j < PHASES; j++) {
      int phase = i < POINTS ? i : POINTS, planes = j < POINTS ? 1 : TILE_SIZE, plane = i * STEPS + j;
      const float *kernels = u->l->kernels + ((phase * PHASES + j) * u->l->out + u->p.channel) * in;
      multiply(u->planes + plane * a, kernels, u->sums + plane * c,
               (Product){planes, tiles, in, channels, in, a, channels, c});
    }
}

// Tiles `from` up to but without `to`, which are counted through all pictures' bands, to the bands' rows after those
// carried over; `tiles` of a band, the first in row `tile_row`.
static void fill_tiles(const Up *u, int tile_row, int tiles, int from, int to) {
  const Layer *l = u->l;
  int across = across_of(u), in = l->in, channels = u->p.channels, row = band_row(u);
  for (int t = from; t < to; t++) {
    int top = (tile_row + t % tiles / across) * TILE_SIZE, left = t % across * TILE_SIZE;
    const float *corner = input_of(l, t / tiles) + inside(top - 1, left - 1, l->from.width, in);
    const float *s = l->s + t / tiles * in;
    for (int i = 0; i < in; i += W)
      spread_tile(corner + i, (l->from.width + 2) * in, in, load(s + i), u->planes + (t - from) * in + i, in_plane(u));
  }
  multiply_planes(u, to - from);
  for (int t = from; t < to; t++) {
    float *y = u->band + t / tiles * band_floats(u) + (CARRY + t % tiles / across * 2 * TILE_SIZE) * row +
               t % across * 2 * TILE_SIZE * channels;
    for (int o = 0; o < channels; o += W)
      gather_tile(u->sums + (t - from) * channels + o, out_plane(u), y + o, row, channels);
  }
}

// Rows of tiles from `tile_row` on, of all pictures.
static void fill_band(const Up *u, int tile_row, int tile_rows) {
  int tiles = tile_rows * across_of(u), all = u->l->pictures * tiles, row = band_row(u);
  for (int from = 0; from < all; from += u->chunk)
    fill_tiles(u, tile_row, tiles, from, all - from < u->chunk ? all : from + u->chunk);
  for (int picture = 0; picture < u->l->pictures; picture++)
    for (int r = 0; r < tile_rows * 2 * TILE_SIZE; r++)
      gather_edge(u, picture, tile_row * 2 * TILE_SIZE + r, 0,
                  u->band + picture * band_floats(u) + (CARRY + r + 1) * row - u->p.channels);
}

// The last rows of a band become the first of the next.
static void carry_over(const Up *u, int rows) {
  for (int picture = 0; picture < u->l->pictures; picture++) {
    float *band = u->band + picture * band_floats(u);
    __builtin_memmove(band, band + rows * band_row(u), CARRY * band_row(u) * sizeof(float));
  }
}

// After the last band: the result's last row from the inputs' last row, and a row of padding.
static void fill_end(const Up *u) {
  multiply_edge(u, u->l->from.height - 1, 0, 0, 1, 2);
  for (int picture = 0; picture < u->l->pictures; picture++) {
    float *row = u->band + picture * band_floats(u) + CARRY * band_row(u);
    for (int place = 0; place <= u->l->size.width; place++)
      gather_edge(u, picture, place, 2, row + place * u->p.channels);
    __builtin_memset(row + band_row(u), 0, band_row(u) * sizeof(float));
  }
}

// Finish rows `from` to `to` of all pictures; their bands begin with row `first`.
static void finish_bands(const Up *u, int first, int from, int to) {
  for (int picture = 0; picture < u->l->pictures; picture++)
    finish_rows((Band){u->band + picture * band_floats(u), first, u->l->from.width, u->p.channels}, from, to, u->line,
                output_of(u->l, picture) + u->p.channel, u->l->out, finish_of(u->l, picture, u->p));
}

// y[size][out] = finish(fir(transposed conv3x3(s * x))). The filter's factor, 1/16, belongs to gain. A part is
// some rows of tiles, and some of the channels: it finishes the rows that its tiles complete, and where it doesn't
// begin with the first ones, computes the row of tiles before them again for the filter.
void convolve_up_part(const Layer *l, Part p, float *work, int tile_rows, int chunk) {
  Up u = {.l = l, .p = p, .tile_rows = tile_rows, .chunk = chunk};
  int down = l->from.height / TILE_SIZE, done = 0;
  lay_out(&u, work);
  for (int picture = 0; picture < l->pictures; picture++)
    __builtin_memset(u.band + picture * band_floats(&u), 0, CARRY * band_row(&u) * sizeof(float));
  multiply_edge(&u, 0, l->from.width - 1, 1, 0, 0);
  if (p.begin > 0) {
    fill_band(&u, p.begin - 1, 1);
    carry_over(&u, 2 * TILE_SIZE);
    done = p.begin * 2 * TILE_SIZE - 2;
  }
  for (int first = p.begin; first < p.end; first += tile_rows) {
    int count = p.end - first < tile_rows ? p.end - first : tile_rows, rows = count * 2 * TILE_SIZE;
    int ready = first * 2 * TILE_SIZE + rows - 2;
    fill_band(&u, first, count);
    finish_bands(&u, first * 2 * TILE_SIZE - CARRY, done, ready);
    carry_over(&u, rows);
    done = ready;
  }
  if (p.end < down) return;
  fill_end(&u);
  finish_bands(&u, l->size.height - CARRY, done, l->size.height);
}

// Floats of work that `convolve_up` takes; height and width are the input's, multiples of 4.
int EXPORT(convolve_up_floats)(int height, int width, int in, int out, int tile_rows) {
  Size half = {height, width};
  Layer l = {.pictures = 1, .from = half, .size = doubled_size(half), .in = in, .out = out};
  return convolve_up_part_floats(&l, out, tile_rows, tile_rows * (width / TILE_SIZE));
}

// One picture's whole layer, both planes with borders, x's being zero. work: `convolve_up_floats`.
void EXPORT(convolve_up)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                         const float *bias, const float *noise, float clamp, float *work, int height, int width, int in,
                         int out, int tile_rows) {
  Size half = {height, width};
  Layer l = {x, 0, y, kernels, s, gain, bias, noise, 0, clamp, 1, half, doubled_size(half), in, out};
  convolve_up_part(&l, (Part){0, height / TILE_SIZE, 0, out}, work, tile_rows, tile_rows * (width / TILE_SIZE));
}
