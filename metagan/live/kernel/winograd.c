// Ordinary 3x3 convolutions by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of 144.
//
// Lavin & Gray 2016, arXiv:1509.09308, section 4: y = A'[(G w G') . (B' d B)]A over tiles of 6x6 inputs d, with the
// points 0, 1, -1, 2, -2 and infinity. The 36 elementwise products, over all tiles and channels, are matrix products.
#include "finish.h"
#include "multiply.h"
#include "simd.h"

#define POINTS 6
#define PLANES (POINTS * POINTS)
#define TILE_SIZE 4

// G w: three taps to six points.
static inline void spread_taps(const Vector w[3], Vector g[POINTS]) {
  Vector sixth = splat(-1.0f / 6), part = splat(1.0f / 24), two = mul(w[1], splat(2));
  Vector even = add(w[0], w[2]), even2 = fma(w[2], splat(4), w[0]);
  g[0] = mul(w[0], splat(0.25f));
  g[1] = mul(add(even, w[1]), sixth);
  g[2] = mul(sub(even, w[1]), sixth);
  g[3] = mul(add(even2, two), part);
  g[4] = mul(sub(even2, two), part);
  g[5] = w[2];
}

// G w G' of W kernels [3][3], to points `plane` floats apart.
static void spread_kernels(const Vector w[9], float *to, int plane) {
  Vector half[3][POINTS];
  UNROLLED for (int row = 0; row < 3; row++) spread_taps(w + 3 * row, half[row]);
  UNROLLED for (int j = 0; j < POINTS; j++) {
    Vector column[POINTS], taps[3] = {half[0][j], half[1][j], half[2][j]};
    spread_taps(taps, column);
    UNROLLED for (int i = 0; i < POINTS; i++) store(to + (i * POINTS + j) * plane, column[i]);
  }
}

// Floats that `winograd_kernels` fills.
int EXPORT(winograd_kernels_floats)(int wide_out, int wide_in) { return PLANES * wide_out * wide_in; }

// Kernels [out][in][3][3] to packed[36][wide_out / LANES][wide_in][LANES]; wide_* are the padded numbers of channels.
void EXPORT(winograd_kernels)(const float *w, float *to, int out, int in, int wide_out, int wide_in) {
  __builtin_memset(to, 0, PLANES * wide_out * wide_in * sizeof(float));
  for (int o = 0; o < out; o += W)
    for (int i = 0; i < in; i++) {
      Vector taps[9];
      load_taps(w, o, i, out, in, taps);
      spread_kernels(taps, to + packed(i, o, wide_in), wide_out * wide_in);
    }
}

// B' d: six inputs of one axis to six points.
static inline void spread(const Vector d[POINTS], Vector t[POINTS]) {
  Vector four = splat(4), minus4 = splat(-4), minus5 = splat(-5);
  Vector a = fma(d[2], minus4, d[4]), b = fma(d[1], minus4, d[3]);
  Vector e = sub(d[4], d[2]), f = sub(d[3], d[1]);
  t[0] = fma(d[0], four, fma(d[2], minus5, d[4]));
  t[1] = add(a, b);
  t[2] = sub(a, b);
  t[3] = fma(f, splat(2), e);
  t[4] = fma(f, splat(-2), e);
  t[5] = fma(d[1], four, fma(d[3], minus5, d[5]));
}

// A' m: six points to the four outputs of one axis.
static inline void gather(const Vector m[POINTS], Vector y[TILE_SIZE]) {
  Vector a = add(m[1], m[2]), b = sub(m[1], m[2]), e = add(m[3], m[4]), f = sub(m[3], m[4]);
  y[0] = add(m[0], add(a, e));
  y[1] = fma(f, splat(2), b);
  y[2] = fma(e, splat(4), a);
  y[3] = add(fma(f, splat(8), b), m[5]);
}

// B' (s d) B of W channels of one tile: d at x, its rows `row` floats apart, to points `plane` floats apart.
static inline void spread_tile(const float *x, int row, int channels, Vector s, float *to, int plane) {
  Vector half[POINTS][POINTS];
  UNROLLED for (int r = 0; r < POINTS; r++) {
    Vector d[POINTS];
    UNROLLED for (int i = 0; i < POINTS; i++) d[i] = load(x + r * row + i * channels);
    spread(d, half[r]);
  }
  UNROLLED for (int j = 0; j < POINTS; j++) {
    Vector column[POINTS], t[POINTS];
    UNROLLED for (int r = 0; r < POINTS; r++) column[r] = half[r][j];
    spread(column, t);
    UNROLLED for (int i = 0; i < POINTS; i++) store(to + (i * POINTS + j) * plane, mul(t[i], s));
  }
}

// A' m A of W channels of one tile: m at points `plane` floats apart, to y[4][4].
static inline void gather_tile(const float *m, int plane, Vector y[TILE_SIZE][TILE_SIZE]) {
  Vector half[TILE_SIZE][POINTS];
  UNROLLED for (int j = 0; j < POINTS; j++) {
    Vector column[POINTS], t[TILE_SIZE];
    UNROLLED for (int i = 0; i < POINTS; i++) column[i] = load(m + (i * POINTS + j) * plane);
    gather(column, t);
    UNROLLED for (int r = 0; r < TILE_SIZE; r++) half[r][j] = t[r];
  }
  UNROLLED for (int r = 0; r < TILE_SIZE; r++) gather(half[r], y[r]);
}

// One tile, all channels of a part: finish(A' m A) to y, the first channel of a plane's part.
static void finish_tile(const float *m, int plane, float *y, const Layer *l, Part p, int row, int column, Finish f) {
  float noise[TILE_SIZE][TILE_SIZE];
  UNROLLED for (int r = 0; r < TILE_SIZE; r++)
    UNROLLED for (int c = 0; c < TILE_SIZE; c++) noise[r][c] = noise_at(f, row + r, column + c, l->size.width);
  for (int o = 0; o < p.channels; o += W) {
    Vector sums[TILE_SIZE][TILE_SIZE], gain = load(f.gain + o), bias = load(f.bias + o);
    gather_tile(m + o, plane, sums);
    UNROLLED for (int r = 0; r < TILE_SIZE; r++)
      UNROLLED for (int c = 0; c < TILE_SIZE; c++)
        store(y + inside(row + r, column + c, l->size.width, l->out) + o,
              finish(sums[r][c], gain, add(bias, splat(noise[r][c])), f.clamp));
  }
}

int convolve_part_floats(const Layer *l, int channels, int chunk) {
  return PLANES * (chunk * (l->in + channels) + 2 * GUARD);
}

// y[size][out] = finish(conv3x3(s * x)). A part is some of the tiles, which are counted through all pictures,
// and of the channels; sides are multiples of 4. Tiles are taken `chunk` at a time, so that their points stay in the second cache.
void convolve_part(const Layer *l, Part p, float *work, int chunk) {
  int in = l->in, across = l->size.width / TILE_SIZE, tiles = l->size.height / TILE_SIZE * across;
  for (int first = p.begin; first < p.end; first += chunk) {
    int count = p.end - first < chunk ? p.end - first : chunk;
    int in_plane = count * in + GUARD, out_plane = count * p.channels + GUARD;
    float *sums = work + PLANES * in_plane;
    for (int t = first; t < first + count; t++) {
      int row = t % tiles / across * TILE_SIZE, column = t % across * TILE_SIZE;
      const float *corner = input_of(l, t / tiles) + inside(row - 1, column - 1, l->size.width, in);
      const float *s = l->s + t / tiles * in;
      for (int i = 0; i < in; i += W)
        spread_tile(corner + i, (l->size.width + 2) * in, in, load(s + i), work + (t - first) * in + i, in_plane);
    }
    for (int plane = 0; plane < PLANES; plane++)
      multiply(work + plane * in_plane, l->kernels + (plane * l->out + p.channel) * in, sums + plane * out_plane,
               (Product){1, count, in, p.channels, in, 0, p.channels, 0});
    for (int t = first; t < first + count; t++)
      finish_tile(sums + (t - first) * p.channels, out_plane, output_of(l, t / tiles) + p.channel, l, p,
                  t % tiles / across * TILE_SIZE, t % across * TILE_SIZE, finish_of(l, t / tiles, p));
  }
}

// Floats of work that `convolve` takes.
int EXPORT(convolve_floats)(int in, int out, int chunk) {
  Layer l = {.in = in, .out = out};
  return convolve_part_floats(&l, out, chunk);
}

// One picture's whole layer, both planes with borders, x's being zero. work: `convolve_floats`.
void EXPORT(convolve)(const float *x, float *y, const float *kernels, const float *s, const float *gain,
                      const float *bias, const float *noise, float clamp, float *work, int height, int width, int in,
                      int out, int chunk) {
  Size size = {height, width};
  Layer l = {x, 0, y, kernels, s, gain, bias, noise, 0, clamp, 1, size, size, in, out};
  convolve_part(&l, (Part){0, pixels_of(size) / (TILE_SIZE * TILE_SIZE), 0, out}, work, chunk);
}
