// What an upscaler needs besides convolutions, for some of a picture's rows.
#ifndef METAGAN_UPSCALE_H
#define METAGAN_UPSCALE_H

#include "simd.h"

// Where a picture's colours lie: floats from one row, pixel or colour to the next.
typedef struct {
  const float *first;
  long row, pixel, colour;
} Colours;

// Rows `from` up to but without `to` of y = prelu(y) + residual inside the border; see `rectify`.
void rectify_rows(float *y, const float *slopes, const float *residual, int width, int channels, int from, int to);

// Rows `from` up to but without `to` of the larger plane, 2 width wide; see `shuffle`.
void shuffle_rows(const float *pixels, float *plane, int width, int in, int channels, int out, int from, int to);

// Rows `from` up to but without `to`, `width` pixels each, to the inside of a plane `plane_width` wide of `channels`.
void take_rows(Colours image, float *plane, int width, int plane_width, int channels, int from, int to);

// The larger picture's rows `from` up to but without `to`, `width` pixels each, to bytes of so many colours, three or four;
// missing is `half` wide and has `in` channels. See `give_picture`.
void give_rows(Colours image, const float *missing, unsigned char *bytes, int colours, int width, int factor, int half,
               int in, int from, int to);

#endif
