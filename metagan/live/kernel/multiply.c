#include "multiply.h"
#include "simd.h"

#ifndef DEPTH
#define DEPTH 256  // rows of a panel that stay in the nearest cache beside TALLEST rows of the left matrix

#endif

// Inlined where it is called, the innermost loop would be compiled anew in the neighbourhood of other variables, with
// fewer registers left for its sums.
#define ALONE __attribute__((noinline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

// c[HEIGHT][LANES] = a[HEIGHT][inner] * panel[inner][LANES], added to c unless it is `first`. Twice TALLEST sums, two
// vectors of the panel and one element of a fill the registers, into which a loop that isn't unrolled would not let
// them.
#define TILE(HEIGHT)                                                                                            \
  ALONE static void tile##HEIGHT(const float *a, int a_row, const float *panel, int inner, float *c, int c_row, \
                                 int first) {                                                                   \
    Vector left[HEIGHT], right[HEIGHT];                                                                         \
    const float *row[HEIGHT];                                                                                   \
    UNROLL for (int i = 0; i < HEIGHT; i++) {                                                                   \
      row[i] = a + i * a_row;                                                                                   \
      left[i] = first ? splat(0) : load(c + i * c_row);                                                         \
      right[i] = first ? splat(0) : load(c + i * c_row + W);                                                    \
    }                                                                                                           \
    for (int k = 0; k < inner; k += 4) {                                                                        \
      UNROLL for (int step = 0; step < 4; step++, panel += LANES) {                                             \
        Vector low = load(panel), high = load(panel + W);                                                       \
        UNROLL for (int i = 0; i < HEIGHT; i++) {                                                               \
          Vector value = splat_at(row[i] + step);                                                               \
          left[i] = fma(value, low, left[i]);                                                                   \
          IN_ORDER(left[i]);                                                                                    \
          right[i] = fma(value, high, right[i]);                                                                \
          IN_ORDER(right[i]);                                                                                   \
        }                                                                                                       \
      }                                                                                                         \
      UNROLL for (int i = 0; i < HEIGHT; i++) row[i] += 4;                                                      \
    }                                                                                                           \
    UNROLL for (int i = 0; i < HEIGHT; i++) {                                                                   \
      store(c + i * c_row, left[i]);                                                                            \
      store(c + i * c_row + W, right[i]);                                                                       \
    }                                                                                                           \
  }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#if TALLEST == 12
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif

static void tile(int height, const float *a, int a_row, const float *panel, int inner, float *c, int c_row, int first) {
  switch (height) {
#if TALLEST == 12
    case 12: tile12(a, a_row, panel, inner, c, c_row, first); return;
    case 11: tile11(a, a_row, panel, inner, c, c_row, first); return;
    case 10: tile10(a, a_row, panel, inner, c, c_row, first); return;
    case 9: tile9(a, a_row, panel, inner, c, c_row, first); return;
    case 8: tile8(a, a_row, panel, inner, c, c_row, first); return;
    case 7: tile7(a, a_row, panel, inner, c, c_row, first); return;
#endif
    case 6: tile6(a, a_row, panel, inner, c, c_row, first); return;
    case 5: tile5(a, a_row, panel, inner, c, c_row, first); return;
    case 4: tile4(a, a_row, panel, inner, c, c_row, first); return;
    case 3: tile3(a, a_row, panel, inner, c, c_row, first); return;
    case 2: tile2(a, a_row, panel, inner, c, c_row, first); return;
    default: tile1(a, a_row, panel, inner, c, c_row, first);
  }
}

// `inner` rows of one panel and one plane's columns: the plane's rows are split into tiles of TALLEST or nearly, so that
// none is thin (of at most 6: 16 = 6 + 5 + 5).
static void multiply_panel(const float *a, const float *panel, float *c, Product shape, int inner, int first) {
  int tiles = (shape.rows + TALLEST - 1) / TALLEST, height = shape.rows / tiles, taller = shape.rows % tiles;
  for (int i = 0; i < tiles; i++) {
    int rows = height + (i < taller);
    tile(rows, a, shape.a_row, panel, inner, c, shape.c_row, first);
    a += rows * shape.a_row;
    c += rows * shape.c_row;
  }
}

// The panel is the outer loop: it stays in the nearest cache for all rows of all planes, if need be a part at a time.
ALONE void multiply(const float *a, const float *b, float *c, Product shape) {
  for (int n = 0; n < shape.columns; n += LANES)
    for (int k = 0; k < shape.inner; k += DEPTH) {
      int inner = shape.inner - k < DEPTH ? shape.inner - k : DEPTH;
      for (int p = 0; p < shape.planes; p++)
        multiply_panel(a + p * shape.a_plane + k, b, c + p * shape.c_plane + n, shape, inner, k == 0);
      b += inner * LANES;
    }
}

// The product by itself, for tests and measurements.
void EXPORT(multiply_once)(const float *a, const float *b, float *c, int rows, int inner, int columns) {
  multiply(a, b, c, (Product){1, rows, inner, columns, inner, 0, columns, 0});
}
