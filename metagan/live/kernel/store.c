// Weights as they come, and planes as they are wanted.
#include "simd.h"

// By which scripts know a kernel that was compiled from other sources; it grows when a function's arguments change.
int EXPORT(version)(void) { return 2; }

// One IEEE 754 half to a float, subnormals included: exact.
static float widen_one(unsigned short half) {
  unsigned sign = (half & 0x8000u) << 16, rest = half & 0x7fffu, bits = sign | ((rest << 13) + (112u << 23));
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  if (rest >= 0x0400) return value;
  value = rest * 0x1p-24f;
  return sign ? -value : value;
}

// Halves to floats; weights are finite.
void EXPORT(widen)(const unsigned short *halves, float *to, int count) {
  for (int i = 0; i < count; i++) to[i] = widen_one(halves[i]);
}

// to[rows][count] = bytes[rows][count] * scale[rows]
void EXPORT(scale_bytes)(const signed char *bytes, const float *scale, float *to, int rows, int count) {
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < count; i++) *to++ = *bytes++ * scale[r];
}

// The border of a plane [height + 2][width + 2][channels] becomes zero.
void EXPORT(clear_border)(float *plane, int height, int width, int channels) {
  int row = (width + 2) * channels;
  __builtin_memset(plane, 0, row * sizeof(float));
  __builtin_memset(plane + (height + 1) * row, 0, row * sizeof(float));
  for (int r = 1; r <= height; r++) {
    __builtin_memset(plane + r * row, 0, channels * sizeof(float));
    __builtin_memset(plane + (r + 1) * row - channels, 0, channels * sizeof(float));
  }
}

// from[height][width][channels] to the inside of a plane of `wide` channels.
void EXPORT(place)(const float *from, float *plane, int height, int width, int channels, int wide) {
  for (int p = 0; p < height * width; p++)
    __builtin_memcpy(plane + inside(p / width, p % width, width, wide), from + p * channels, channels * sizeof(float));
}
