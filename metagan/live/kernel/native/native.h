// What the native library has beyond the layers: whole networks, and the threads that run them.
#ifndef METAGAN_NATIVE_H
#define METAGAN_NATIVE_H

#include "../layer.h"
#include "../multiply.h"

void dense(const float *w, const float *b, const float *x, float *y, int out, int in);
void demodulate(const float *squares, const float *s, float *gain, int out, int in, float scale);
void clear_border(float *plane, int height, int width, int channels);
int skip_part_floats(const Layer *l, int rows, int channels);
void skip_part(const Layer *l, Part p, float *work);

// A filtered non-linearity's two filters, and how samples lie between them; layouts that metagan/live/native.py repeats.
typedef struct {
  int up, down;         // factors of the sampling rate
  int reach;            // inputs that a sample between the filters is a sum of, along each axis
  int length, radial;   // taps of the second filter: [length] for both axes or, if it is radial, [length][length]
  int above, left;      // samples of padding at the higher rate; negative where samples are cropped
  Size given, result;   // of the inputs that count, which begin at the first inside; of the output
  const float *before;  // [up][reach], for each phase, with all gains
  const float *after;
} Filter;

int filter_part_floats(const Layer *l, const Filter *f);
void filter_part(const Layer *l, const Filter *f, int margin, Part p, int picture, float *work);
void waves_part(const Layer *l, int margin, Part p, int picture);
int point_part_floats(const Layer *l, int rows);
void point_part(const Layer *l, Part p, int picture, float *work);

// One layer of a network, or one half of a layer of StyleGAN3's.
typedef enum { SMALL, WINOGRAD, UP_SMALL, UP, POINT, SKIP, COLOUR, WAVES, FILTER } Kind;

typedef struct {
  int kind;
  Size from, size;           // of its input and output
  int in, out;               // channels, padded; of COLOUR: the image's
  int style;                 // which of the styles
  int margin;                // of WAVES and FILTER: pixels of zeros above and on the left of the output
  float scale, clamp;        // of the demodulation; of the output
  const float *kernels;      // packed; of COLOUR: [out][in]
  const float *style_weight; // [in][style_width]
  const float *style_bias;   // [in]
  const float *squares;      // [out][in]
  const float *bias;         // [out]; of COLOUR: four
  const Filter *filter;      // of FILTER
} Step;

typedef struct {
  int count, styles, style_width;
  Size size;  // of its pictures
  int image_channels;
  const float *constant;  // plane [from of the first, with its border][in of the first]; 0 where WAVES are the first
  const Step *steps;
} Network;

// One convolution of an upscaler with its PReLU; layouts that metagan/live/native.py repeats, too.
typedef struct {
  int in, out;           // channels, padded
  const float *kernels;  // packed
  const float *bias;     // [out]
  const float *slopes;   // [out], as `rectify` takes them
} UpscalerLayer;

typedef struct {
  int factor, blocks, fine_channels;
  const float *ones;            // as many as the widest layer has channels
  const UpscalerLayer *layers;  // the head, two of each block, for factor 4 the one that is shuffled, and the last
} Upscaler;

#endif
