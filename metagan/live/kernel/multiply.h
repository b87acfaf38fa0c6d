// The matrix product that all convolutions end in.
#ifndef METAGAN_MULTIPLY_H
#define METAGAN_MULTIPLY_H

// c[p][m][n] = sum over k of a[p][m][k] * b[k][n]: `planes` left matrices that share the right one.
typedef struct {
  int planes, rows, inner, columns;  // inner is a multiple of 4, columns of LANES
  int a_row, a_plane;                // floats from one row or plane of a to the next
  int c_row, c_plane;
} Product;

// Right matrices are packed in panels, b[columns / LANES][inner][LANES]: where element k, n lies.
static inline int packed(int k, int n, int inner) { return (n / 8) * inner * 8 + k * 8 + n % 8; }

void multiply(const float *a, const float *b, float *c, Product shape);

#endif
