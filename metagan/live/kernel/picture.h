// A picture while it is made: [size][4] floats, however many of the four colours there are.
#ifndef METAGAN_PICTURE_H
#define METAGAN_PICTURE_H

#include "simd.h"

// weights[channels][in] * s[in] to colours[in][4], so that four floats are a pixel's colours.
void modulate_colours(const float *weights, const float *s, float *colours, int channels, int in);

// Rows `from` up to but without `to` of image = clamp(x . colours + b) + former at twice its size. x has a border,
// images have none; former is 0 for the first image. b has four elements.
void colour_rows(const float *x, float *image, const float *former, const float *colours, const float *b, float clamp,
                 Size size, int in, int from, int to);

// trunc(clamp(127.5 v + 128, 0, 255)), as published generators round.
static inline unsigned char byte_of(float v) {
  float scaled = v * 127.5f + 128;
  return scaled > 0 ? (scaled < 255 ? (unsigned char)scaled : 255) : 0;
}

#endif
