// The matrix product that all convolutions end in.
#ifndef METAGAN_MULTIPLY_H
#define METAGAN_MULTIPLY_H

#include "simd.h"

// c[p][m][n] = sum over k of a[p][m][k] * b[k][n]: `planes` left matrices that share the right one.
typedef struct {
  int planes, rows, inner, columns;  // inner is a multiple of 4, columns of LANES
  int a_row, a_plane;                // floats from one row or plane of a to the next
  int c_row, c_plane;
} Product;

// Right matrices are packed in panels, b[columns / LANES][inner][LANES]: where element k, n lies.
static inline int packed(int k, int n, int inner) { return (n / LANES) * inner * LANES + k * LANES + n % LANES; }

// The nine taps of kernels [out][in][3][3] between input i and outputs o to o + W - 1; zeros for outputs beyond the last.
static inline void load_taps(const float *w, int o, int i, int out, int in, Vector taps[9]) {
  static const float none[9] = {0};
  for (int t = 0; t < 9; t++) {
    float lanes[W];
    for (int lane = 0; lane < W; lane++) lanes[lane] = (o + lane < out ? w + ((o + lane) * in + i) * 9 : none)[t];
    taps[t] = load(lanes);
  }
}

void multiply(const float *a, const float *b, float *c, Product shape);

#endif
