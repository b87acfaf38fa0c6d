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
static inline void spread_taps(const Four w[3], Four g[PHASES]) {
  Four sixth = splat(1.0f / 6);
  g[0] = mul(w[2], splat(0.5f));
  g[1] = mul(add(w[2], w[0]), splat(0.5f));
  g[2] = mul(sub(w[2], w[0]), sixth);
  g[3] = mul(fma(w[0], splat(2), w[2]), sixth);
  g[4] = w[0];
  g[5] = w[1];
}

// Four kernels [3][3] to the weights of all phases, `plane` floats apart, and after them the edges' taps.
static void spread_kernels(const Four w[9], float *to, int plane) {
  Four half[3][PHASES];
  for (int row = 0; row < 3; row++) spread_taps(w + 3 * row, half[row]);
  for (int j = 0; j < PHASES; j++) {
    Four column[PHASES], taps[3] = {half[0][j], half[1][j], half[2][j]};
    spread_taps(taps, column);
    for (int i = 0; i < PHASES; i++) store(to + (i * PHASES + j) * plane, column[i]);
  }
  for (int e = 0; e < EDGE_TAPS; e++) store(to + (PHASES * PHASES + e) * plane, w[EDGE[e]]);
}

// Floats that `upsampling_kernels` fills.
int EXPORT(upsampling_kernels_floats)(int wide_out, int wide_in) {
  return (PHASES * PHASES + EDGE_TAPS) * wide_out * wide_in;
}

// Kernels [out][in][3][3] to packed[36][wide_out / 8][wide_in][8], then the edges' taps,
// packed[5 * wide_out / 8][wide_in][8].
void EXPORT(upsampling_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  int matrix = wide_out * wide_in;
  __builtin_memset(to, 0, (PHASES * PHASES + EDGE_TAPS) * matrix * sizeof(float));
  for (int o = 0; o < out; o += 4)
    for (int i = 0; i < in; i++) {
      Four taps[9];
      load_taps(w, o, i, out, in, taps);
      spread_kernels(taps, to + packed(i, o, wide_in), matrix);
    }
}

// Inputs j - 1 to j + 3 of one axis to five points; the four of the odd phase follow as they are.
static inline void spread(const Four d[POINTS], Four t[STEPS]) {
  Four two = splat(2), slope = sub(d[3], d[1]), sum = sub(d[2], d[3]);
  t[0] = fma(sub(d[0], d[2]), two, slope);
  t[1] = fma(d[1], two, sum);
  t[2] = fma(sub(d[2], d[1]), two, sum);
  t[3] = slope;
  t[4] = fma(slope, splat(-2), sub(d[4], d[2]));
  for (int i = 0; i < TILE_SIZE; i++) t[POINTS + i] = d[i + 1];
}

// Nine products of one axis to eight results, even and odd in turn.
static inline void gather(const Four m[STEPS], Four y[2 * TILE_SIZE]) {
  Four a = add(m[1], m[2]), b = sub(m[1], m[2]);
  y[0] = add(add(m[0], a), m[3]);
  y[2] = fma(m[3], splat(2), b);
  y[4] = fma(m[3], splat(4), a);
  y[6] = add(fma(m[3], splat(8), b), m[4]);
  for (int i = 0; i < TILE_SIZE; i++) y[2 * i + 1] = m[POINTS + i];
}

// Four channels of one tile: inputs at x, its rows `row` floats apart, to 81 planes `plane` floats apart.
static inline void spread_tile(const float *x, int row, int channels, Four s, float *to, int plane) {
  Four half[POINTS][STEPS];
  for (int r = 0; r < POINTS; r++) {
    Four d[POINTS];
    for (int i = 0; i < POINTS; i++) d[i] = mul(load(x + r * row + i * channels), s);
    spread(d, half[r]);
  }
  for (int j = 0; j < STEPS; j++) {
    Four column[POINTS], t[STEPS];
    for (int r = 0; r < POINTS; r++) column[r] = half[r][j];
    spread(column, t);
    for (int i = 0; i < STEPS; i++) store(to + (i * STEPS + j) * plane, t[i]);
  }
}

// Four channels of one tile: 81 products `plane` floats apart to 8x8 results at y, its rows `row` floats apart.
static inline void gather_tile(const float *m, int plane, float *y, int row, int channels) {
  Four half[2 * TILE_SIZE][STEPS];
  for (int j = 0; j < STEPS; j++) {
    Four column[STEPS], t[2 * TILE_SIZE];
    for (int i = 0; i < STEPS; i++) column[i] = load(m + (i * STEPS + j) * plane);
    gather(column, t);
    for (int r = 0; r < 2 * TILE_SIZE; r++) half[r][j] = t[r];
  }
  for (int r = 0; r < 2 * TILE_SIZE; r++) {
    Four t[2 * TILE_SIZE];
    gather(half[r], t);
    for (int c = 0; c < 2 * TILE_SIZE; c++) store(y + r * row + c * channels, t[c]);
  }
}

// One layer's call, and where its work lies.
typedef struct {
  const float *x, *kernels, *s;
  float *planes, *sums, *band, *line, *side, *edge;
  int half, in, out, tile_rows;  // tile_rows: rows of tiles that are taken at a time
} Up;

static int in_plane(const Up *u) { return u->tile_rows * (u->half / TILE_SIZE) * u->in + GUARD; }
static int out_plane(const Up *u) { return u->tile_rows * (u->half / TILE_SIZE) * u->out + GUARD; }
static int band_row(const Up *u) { return (2 * u->half + 1) * u->out; }

// Lay the work out from `work` on; the answer is how many floats it takes.
static int lay_out(Up *u, float *work) {
  float *at = work;
  u->planes = at;
  at += STEPS * STEPS * in_plane(u);
  u->sums = at;
  at += STEPS * STEPS * out_plane(u);
  u->band = at;
  at += (CARRY + 2 * TILE_SIZE * u->tile_rows) * band_row(u);
  u->line = at;
  at += FIR_LINE(u->half, u->out);
  u->side = at;
  at += u->half * u->in;
  u->edge = at;
  at += u->half * 3 * u->out;
  return at - work;
}

// Floats of work that `convolve_up` takes.
int EXPORT(convolve_up_floats)(int half, int in, int out, int tile_rows) {
  Up u = {.half = half, .in = in, .out = out, .tile_rows = tile_rows};
  return lay_out(&u, 0);
}

// edge[half][3][out]: pixels of x from (row, column) on, a step apart, times three of the edges' taps.
static void multiply_edge(const Up *u, int row, int column, int row_step, int column_step, int first_tap) {
  for (int p = 0; p < u->half; p++)
    for (int i = 0; i < u->in; i += 4)
      store(u->side + p * u->in + i,
            mul(load(u->x + inside(row + p * row_step, column + p * column_step, u->half, u->in) + i),
                load(u->s + i)));
  const float *taps = u->kernels + (PHASES * PHASES + first_tap) * u->in * u->out;
  multiply(u->side, taps, u->edge, (Product){1, u->half, u->in, 3 * u->out, u->in, 0, 3 * u->out, 0});
}

// y[2p] = edge[p][even] + edge[p - 1][2 - even], y[2p + 1] = edge[p][1]: one result of the last column (even = 0) or
// row (even = 2).
static void gather_edge(const Up *u, int place, int even, float *y) {
  int p = place / 2, width = 3 * u->out;
  const float *here = u->edge + p * width, *before = here - width;
  for (int o = 0; o < u->out; o += 4) {
    Four sum = splat(0);
    if (place % 2) sum = load(here + u->out + o);
    if (place % 2 == 0 && p < u->half) sum = load(here + even * u->out + o);
    if (place % 2 == 0 && p > 0) sum = add(sum, load(before + (2 - even) * u->out + o));
    store(y + o, sum);
  }
}

// The 36 products of one band of tiles; planes of an odd phase share their weights.
static void multiply_planes(const Up *u, int tiles) {
  int a = in_plane(u), c = out_plane(u), matrix = u->in * u->out;
  for (int i = 0; i < STEPS; i++)
    for (int j = 0; j < PHASES; j++) {
      int phase = i < POINTS ? i : POINTS, planes = j < POINTS ? 1 : TILE_SIZE, plane = i * STEPS + j;
      multiply(u->planes + plane * a, u->kernels + (phase * PHASES + j) * matrix, u->sums + plane * c,
               (Product){planes, tiles, u->in, u->out, u->in, a, u->out, c});
    }
}

// Rows of tiles from `tile_row` on, to the band's rows after those carried over.
static void fill_band(const Up *u, int tile_row, int tile_rows) {
  int across = u->half / TILE_SIZE, tiles = tile_rows * across, row = band_row(u);
  for (int t = 0; t < tiles; t++) {
    int top = (tile_row + t / across) * TILE_SIZE, left = t % across * TILE_SIZE;
    const float *corner = u->x + inside(top - 1, left - 1, u->half, u->in);
    for (int i = 0; i < u->in; i += 4)
      spread_tile(corner + i, (u->half + 2) * u->in, u->in, load(u->s + i), u->planes + t * u->in + i, in_plane(u));
  }
  multiply_planes(u, tiles);
  for (int t = 0; t < tiles; t++) {
    float *y = u->band + (CARRY + t / across * 2 * TILE_SIZE) * row + t % across * 2 * TILE_SIZE * u->out;
    for (int o = 0; o < u->out; o += 4)
      gather_tile(u->sums + t * u->out + o, out_plane(u), y + o, row, u->out);
  }
  for (int r = 0; r < tile_rows * 2 * TILE_SIZE; r++)
    gather_edge(u, tile_row * 2 * TILE_SIZE + r, 0, u->band + (CARRY + r + 1) * row - u->out);
}

// The last rows of a band become the first of the next.
static void carry_over(const Up *u, int rows) {
  __builtin_memmove(u->band, u->band + rows * band_row(u), CARRY * band_row(u) * sizeof(float));
}

// After the last band: the result's last row from the inputs' last row, and a row of padding.
static void fill_end(const Up *u) {
  float *row = u->band + CARRY * band_row(u);
  multiply_edge(u, u->half - 1, 0, 0, 1, 2);
  for (int place = 0; place <= 2 * u->half; place++) gather_edge(u, place, 2, row + place * u->out);
  __builtin_memset(row + band_row(u), 0, band_row(u) * sizeof(float));
}

// y[2 half][2 half][out] = finish(fir(transposed conv3x3(s * x))), both with borders, x's being zero. The filter's
// factor, 1/16, belongs to gain. work: `convolve_up_floats`.
void EXPORT(convolve_up)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                         const float *bias, const float *noise, float clamp, float *work, int half, int in, int out,
                         int tile_rows) {
  Up u = {.x = x, .kernels = kernels, .s = s, .half = half, .in = in, .out = out, .tile_rows = tile_rows};
  Finish f = {gain, bias, noise, clamp};
  lay_out(&u, work);
  __builtin_memset(u.band, 0, CARRY * band_row(&u) * sizeof(float));
  multiply_edge(&u, 0, half - 1, 1, 0, 0);
  int down = half / TILE_SIZE, done = 0;
  for (int first = 0; first < down; first += tile_rows) {
    int count = down - first < tile_rows ? down - first : tile_rows, rows = count * 2 * TILE_SIZE;
    int ready = first * 2 * TILE_SIZE + rows - 2;
    fill_band(&u, first, count);
    finish_rows((Band){u.band, first * 2 * TILE_SIZE - CARRY, half, out}, done, ready, u.line, y, f);
    carry_over(&u, rows);
    done = ready;
  }
  fill_end(&u);
  finish_rows((Band){u.band, 2 * half - CARRY, half, out}, done, 2 * half, u.line, y, f);
}
