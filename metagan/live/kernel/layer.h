// One styled convolution of some pictures, and the part of it that one thread does.
#ifndef METAGAN_LAYER_H
#define METAGAN_LAYER_H

#include "simd.h"

typedef struct {
  const float *x;        // planes [pictures][from, with borders of zeros][in]
  int x_step;            // floats from one picture's x to the next's; 0 where all share one
  float *y;              // planes [pictures][size, with borders][out]
  const float *kernels;  // as the function that packs them lays them out
  const float *s;        // [pictures][in], what inputs are multiplied by
  const float *gain;     // [pictures][out]
  const float *bias;     // [out]
  const float *noise;    // [size], or 0 for none
  int noise_step;        // floats from one picture's noise to the next's; 0 where all share one
  float clamp;           // the bound of |y|; infinity for none
  int pictures;
  Size from, size;
  int in, out;
} Layer;

// What doesn't overlap may be done at once; how a layer is split never changes a bit of what comes out of it.
typedef struct {
  int begin, end;         // tiles, rows of tiles or rows of pixels, as the layer counts them
  int channel, channels;  // outputs, in multiples of LANES
} Part;

static inline const float *input_of(const Layer *l, int picture) { return l->x + (long)picture * l->x_step; }

static inline float *output_of(const Layer *l, int picture) {
  return l->y + (long)picture * (l->size.height + 2) * (l->size.width + 2) * l->out;
}

// Each layer's parts; `work` holds as many floats as the function beside it says.
void convolve_part(const Layer *l, Part p, float *work, int chunk);
int convolve_part_floats(const Layer *l, int channels, int chunk);
void convolve_up_part(const Layer *l, Part p, float *work, int tile_rows, int chunk);
int convolve_up_part_floats(const Layer *l, int channels, int tile_rows, int chunk);
void convolve_small_part(const Layer *l, Part p, float *work);
int convolve_small_part_floats(const Layer *l, int channels);
void convolve_up_small_part(const Layer *l, Part p, float *work);
int convolve_up_small_part_floats(const Layer *l, int channels);

#endif
