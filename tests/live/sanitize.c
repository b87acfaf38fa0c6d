// Small networks and upscalers of odd widths run with buffers that end where the kernel says: for a build with sanitizers.
// With a file's name, their pictures are written there as floats, values first and then bytes: the same numbers from
// every instruction set, but for rounding.
#include <stdio.h>
#include <stdlib.h>

#include "../../metagan/live/kernel/native/native.h"

long long draw_floats(const Network *network, int pictures, int threads);
void draw(const Network *network, const float *ws, const float *waves, const float *const *noise, const int *noise_step,
          float *images, unsigned char *bytes, float *work, int pictures, int threads);
long long enlarge_floats(const Upscaler *upscaler, int height, int width, int pictures, int threads);
void enlarge(const Upscaler *upscaler, const float *images, unsigned char *bytes, float *work, int height, int width,
             int pictures, int threads);
int winograd_kernels_floats(int wide_out, int wide_in);
int upsampling_kernels_floats(int wide_out, int wide_in);
typedef void Pack(const float *w, float *to, int out, int in, int wide_out, int wide_in);
Pack winograd_kernels, upsampling_kernels, small_kernels, small_upsampling_kernels, skip_kernels, sum_squares;

#define STYLE_WIDTH 7
#define MOST_STEPS 32

static float *kept[1024];
static int kept_count;
static unsigned state = 1;

static FILE *pictures_file;

static float next_number(void) { return (float)((state = state * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5f; }

// Rows of `count` random numbers and of zeros, `padded` in all.
static float *padded_rows(size_t rows, size_t count, size_t padded) {
  float *made = malloc(rows * padded * sizeof(float));
  for (size_t i = 0; i < rows * padded; i++) made[i] = i % padded < count ? next_number() : 0;
  return kept[kept_count++] = made;
}

static float *floats(size_t count) { return padded_rows(1, count, count); }

static float *room(size_t count) { return kept[kept_count++] = malloc(count * sizeof(float)); }

static void give(const float *images, const unsigned char *bytes, size_t image_values, size_t byte_values) {
  if (!pictures_file) return;
  fwrite(images, sizeof(float), image_values, pictures_file);
  for (size_t i = 0; i < byte_values; i++) fwrite(&(float){bytes[i]}, sizeof(float), 1, pictures_file);
}

static int wide(int channels) { return (channels + LANES - 1) / LANES * LANES; }

static void add_style(Step *s, int in, int style) {
  s->style = style;
  s->style_weight = padded_rows(1, in * STYLE_WIDTH, s->in * STYLE_WIDTH);
  s->style_bias = padded_rows(1, in, s->in);
}

static Size half_of(Size size) { return (Size){size.height / 2, size.width / 2}; }

static void add_convolution(Step *s, Size from, Size size, int in, int out, int style) {
  int small = pixels_of(from) <= 64 || from.height % 4 || from.width % 4;
  int up = from.width < size.width, into = wide(in), to = wide(out);
  float *weights = floats(9 * in * out), *squares = room(to * into);
  Pack *pack = small ? up ? small_upsampling_kernels : small_kernels : up ? upsampling_kernels : winograd_kernels;
  size_t count = small ? 9 * into * to : up ? upsampling_kernels_floats(to, into) : winograd_kernels_floats(to, into);
  float *kernels = room(count);
  pack(weights, kernels, out, in, to, into);
  sum_squares(weights, squares, out, in, to, into);
  int kind = small ? up ? UP_SMALL : SMALL : up ? UP : WINOGRAD;
  *s = (Step){.kind = kind, .from = from, .size = size, .in = into, .out = to, .scale = 1, .clamp = 2,
              .kernels = kernels, .squares = squares, .bias = padded_rows(1, out, to)};
  add_style(s, in, style);
}

// layout 0: output skips; 1: none; 2: residual.
static void draw_network(Size size, const int *channels, int blocks, int layout, int colours, int pictures, int threads) {
  Step steps[MOST_STEPS];
  const float *noise[MOST_STEPS] = {0};
  int noise_step[MOST_STEPS] = {0}, count = 0, style = 0;
  size_t constant_floats = (size_t)(size.height + 2) * (size.width + 2);
  for (int b = 0; b < blocks; b++, size = doubled_size(size)) {
    if (b) add_convolution(&steps[count++], half_of(size), size, channels[b - 1], channels[b], style++);
    noise_step[count] = pixels_of(size);
    noise[count] = floats(pixels_of(size) * pictures);
    add_convolution(&steps[count++], size, size, channels[b], channels[b], style++);
    if (b && layout == 2) {
      int in = wide(channels[b - 1]), out = wide(channels[b]);
      float *kernels = room(in * out);
      skip_kernels(floats(channels[b - 1] * channels[b]), kernels, channels[b], channels[b - 1], out, in);
      steps[count++] = (Step){.kind = SKIP, .from = half_of(size), .size = size, .in = in, .out = out, .kernels = kernels};
    }
    if (layout == 0 || b == blocks - 1) {
      Step *s = &steps[count++];
      *s = (Step){.kind = COLOUR, .from = size, .size = size, .in = wide(channels[b]), .out = colours, .clamp = 2};
      s->kernels = padded_rows(colours, channels[b], s->in);
      s->bias = floats(4);
      add_style(s, channels[b], style);
    }
  }
  Size whole = half_of(size);
  float *constant = padded_rows(constant_floats, channels[0], steps[0].in);
  Network network = {count, style + 1, STYLE_WIDTH, whole, colours, constant, steps};
  float *ws = floats((size_t)pictures * (style + 1) * STYLE_WIDTH);
  size_t values = (size_t)pictures * colours * pixels_of(whole);
  float *images = room(values);
  unsigned char *bytes = malloc(values);
  float *work = malloc(draw_floats(&network, pictures, threads) * sizeof(float));
  draw(&network, ws, 0, noise, noise_step, images, bytes, work, pictures, threads);
  give(images, bytes, values, values);
  free(work);
  free(bytes);
  while (kept_count) free(kept[--kept_count]);
}

// StyleGAN3's canvas of a layer whose convolution has three taps, or one, along each axis.
static Size canvas_of(int side, int taps) {
  int whole = taps == 1 ? side : (side + 5) / 4 * 4;
  return (Size){whole, whole};
}

// A convolution and the filtered non-linearity after it, with filters of a kind of its own for each style.
static void add_filtered(Step *s, Filter *f, int side, int next, int in, int out, int taps, int next_taps, int style) {
  Size canvas = canvas_of(side, taps), next_canvas = canvas_of(next, next_taps);
  int into = wide(in), to = wide(out);
  float *weights = floats(9 * in * out), *squares = room(to * into);
  float *kernels = room(taps == 3 ? winograd_kernels_floats(to, into) : to * into);
  (taps == 3 ? winograd_kernels : skip_kernels)(weights, kernels, out, in, to, into);
  sum_squares(weights, squares, out, in, to, into);
  *s = (Step){.kind = taps == 3 ? WINOGRAD : POINT, .from = canvas, .size = canvas, .in = into, .out = to, .scale = 1,
              .clamp = 2, .kernels = kernels, .squares = squares, .bias = padded_rows(1, out, to)};
  add_style(s, in, style);
  int length = 1 + 3 * style, up = 1 + style % 4, given = side + taps - 1;
  *f = (Filter){.up = up, .down = 1 + style % 3, .reach = 1 + 2 * style, .length = length, .radial = style % 2,
                .above = 7 - 6 * style, .left = 5 * style - 9, .given = {given, given}, .result = {next, next}};
  f->before = floats(up * f->reach);
  f->after = floats(length * length);
  s[1] = (Step){.kind = FILTER, .from = canvas, .size = next_canvas, .in = wide(out), .out = wide(out),
                .margin = next_taps == 3, .clamp = 1, .filter = f};
}

static void draw_filtered(const int *sides, const int *channels, const int *taps, int layers, int colours, int pictures,
                          int threads) {
  Step steps[MOST_STEPS];
  Filter filters[MOST_STEPS];
  const float *noise[MOST_STEPS] = {0};
  int noise_step[MOST_STEPS] = {0}, count = 1, in = wide(channels[0]), side = sides[0];
  float *kernels = room(in * in);
  skip_kernels(floats(channels[0] * channels[0]), kernels, channels[0], channels[0], in, in);
  steps[0] = (Step){.kind = WAVES, .from = {side, side}, .size = canvas_of(side, taps[0]), .in = in, .out = in,
                    .margin = taps[0] == 3, .kernels = kernels};
  for (int i = 0; i < layers; i++, count += 2)
    add_filtered(steps + count, filters + i, sides[i], sides[i + 1], channels[i], channels[i + 1], taps[i],
                 i + 1 < layers ? taps[i + 1] : 1, i + 1);
  Size whole = {sides[layers], sides[layers]};
  Step *last = &steps[count++];
  *last = (Step){.kind = COLOUR, .from = whole, .size = whole, .in = wide(channels[layers]), .out = colours, .clamp = 2};
  last->kernels = padded_rows(colours, channels[layers], last->in);
  last->bias = floats(4);
  add_style(last, channels[layers], layers);
  Network network = {count, layers + 1, STYLE_WIDTH, whole, colours, 0, steps};
  float *ws = floats((size_t)pictures * (layers + 1) * STYLE_WIDTH);
  float *waves = padded_rows((size_t)pictures * side * side, channels[0], in);
  size_t values = (size_t)pictures * colours * pixels_of(whole);
  float *images = room(values);
  unsigned char *bytes = malloc(values);
  float *work = malloc(draw_floats(&network, pictures, threads) * sizeof(float));
  draw(&network, ws, waves, noise, noise_step, images, bytes, work, pictures, threads);
  give(images, bytes, values, values);
  free(work);
  free(bytes);
  while (kept_count) free(kept[--kept_count]);
}

static int vectors(int channels) { return (channels + W - 1) / W * W; }

static UpscalerLayer upscaler_layer(int in, int out, int into) {
  int to = wide(out);
  float *kernels = room(winograd_kernels_floats(to, into));
  winograd_kernels(floats(9 * in * out), kernels, out, in, to, into);
  return (UpscalerLayer){into, to, kernels, padded_rows(1, out, to), padded_rows(1, out, to)};
}

static void upscale(Size size, int factor, int channels, int blocks, int fine, int pictures, int threads) {
  UpscalerLayer layers[MOST_STEPS];
  int count = 0, last = factor == 4 ? fine : channels, widest = wide(4 * fine) + wide(channels);
  layers[count++] = upscaler_layer(3, channels, vectors(3));
  for (int i = 0; i < 2 * blocks; i++) layers[count++] = upscaler_layer(channels, channels, wide(channels));
  if (factor == 4) layers[count++] = upscaler_layer(channels, 4 * fine, wide(channels));
  layers[count++] = upscaler_layer(last, 12, factor == 4 ? vectors(last) : wide(last));
  float *ones = room(widest);
  for (int i = 0; i < widest; i++) ones[i] = 1;
  Upscaler upscaler = {factor, blocks, fine, ones, layers};
  size_t values = (size_t)3 * pixels_of(size) * pictures;
  unsigned char *bytes = malloc(values * factor * factor);
  float *images = floats(values), *work = malloc(enlarge_floats(&upscaler, size.height, size.width, pictures, threads) * sizeof(float));
  enlarge(&upscaler, images, bytes, work, size.height, size.width, pictures, threads);
  give(images, bytes, 0, values * factor * factor);
  free(work);
  free(bytes);
  while (kept_count) free(kept[--kept_count]);
}

int main(int count, char **arguments) {
  if (count > 1) pictures_file = fopen(arguments[1], "wb");
  static const int widths[][5] = {{1, 2, 3, 1, 5}, {17, 40, 9, 33, 16}, {20, 7, 64, 31, 2}};
  static const Size constants[] = {{4, 4}, {4, 2}, {3, 5}, {2, 6}};
  int drawn = 0;
  for (int w = 0; w < 3; w++)
    for (int layout = 0; layout < 3; layout++, drawn++)
      draw_network(constants[drawn % 4], widths[w], 5 - w % 2, layout, 1 + (drawn + w) % 4, 3, 3);
  for (int layout = 0; layout < 3; layout++, drawn++) draw_network(constants[layout], widths[1], 4, layout, 3, 1, 1);
  static const int sides[][4] = {{5, 9, 40, 33}, {3, 1, 7, 12}, {20, 13, 18, 26}};
  static const int taps[][3] = {{3, 1, 3}, {1, 1, 3}, {3, 3, 3}};
  for (int n = 0; n < 3; n++, drawn++) draw_filtered(sides[n], widths[n], taps[n], 3, 2 + n, 1 + 2 * n, 4 - n);
  static const Size sizes[] = {{5, 7}, {1, 1}, {8, 12}, {4, 150}, {130, 129}};
  int enlarged = 0;
  for (; enlarged < 5; enlarged++)
    upscale(sizes[enlarged], enlarged % 2 ? 2 : 4, widths[1][enlarged], enlarged % 3, widths[2][enlarged] % 9 + 1,
            enlarged == 4 ? 3 : 1 + 3 * (enlarged % 2), 3);
  if (pictures_file) fclose(pictures_file);
  printf("%d networks, %d upscalers\n", drawn, enlarged);
}
