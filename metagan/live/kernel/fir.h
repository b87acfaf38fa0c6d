// The filter that follows a transposed convolution, and the finish that follows the filter.
#ifndef METAGAN_FIR_H
#define METAGAN_FIR_H

#include "finish.h"

// Rows of a transposed convolution's result, each (2 * half_width + 1) pixels of `channels`; `first` is the number of the
// one at `rows`.
typedef struct {
  const float *rows;
  int first, half_width, channels;
} Band;

#define FIR_LINE(half_width, channels) ((2 * (half_width) + 3) * (channels))

// Finish rows `from` up to but without `to` of y, 2 half_width wide, into the inside of a plane of `out` channels, at whose
// first channel y is. line: FIR_LINE floats.
void finish_rows(Band band, int from, int to, float *line, float *y, int out, Finish f);

#endif
