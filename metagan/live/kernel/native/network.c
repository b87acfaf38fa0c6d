// A whole network: styles to pictures, as many at once as are wanted, by as many threads.
//
// Every thread walks through the same steps; each step is split into parts that don't overlap, and all threads meet
// after it. Coarse layers are few numbers and large kernels: all pictures of a group go through them together, so that
// kernels are read once. Fine layers are made picture by picture, for the memory that they take. A picture's sums have
// the same order in every split, so that it has the same bits in every batch and on any number of threads.
#include "native.h"

#include <stddef.h>

#include "../picture.h"
#include "team.h"

#define COARSE_PX (32 * 32)      // layers up to this size are made for a group of pictures at once
#define GROUP 8                  // pictures
#define CACHE (3 << 15)          // floats of transformed tiles that are worked on at a time, beside the kernels
#define FEWEST 16                // of these tiles: fewer would have the kernels read too often
#define MOST 64
#define LARGE_KERNELS (1 << 21)  // floats, from which on no cache holds them, and reading them is what takes time
#define ROWS_A_PART 16           // of what goes row by row
#define POINTS_A_PART 128        // pixels of a convolution of one tap
#define UP_ROWS_A_THREAD 16      // of tiles, from which on computing one of them twice is no matter
#define ALIGNED(floats) (((floats) + 15) / 16 * 16)

// How a step is split: parts are numbered column by column, row by row, picture by picture.
typedef struct {
  int units, rows;        // of tiles or rows; in one part
  int channels, columns;  // of outputs; in one part
  int pictures;           // that are parts of their own
  int chunk, band;        // tiles that are multiplied at a time, and rows of them that are filtered at a time
} Split;

typedef struct {
  const Network *network;
  const float *ws;            // [pictures][styles][style_width]
  const float *waves;         // [pictures][from of the first step][in of the first step], or 0
  const float *const *noise;  // [count], each 0 or [size] or one for each picture
  const int *noise_step;      // [count], floats from one picture's noise to the next's
  float *images;              // [pictures][image_channels][height][width], or 0
  unsigned char *bytes;       // [pictures][height][width][image_channels], or 0
  int pictures;
} Order;

// Where everything lies; sizes are in floats.
typedef struct {
  size_t styles, coarse, coarse_image, fine, fine_image, thread;  // sizes: of a group's, a picture's, a thread's
  size_t total;
  int group, split;  // pictures at once; the first step that is made picture by picture
  int planes;        // of features at a time: input and output, and of residual networks the block's input
} Plan;

// What steps hand on to each other.
typedef struct {
  const float *x, *block, *image;  // features, the block's input, the picture so far
  size_t x_step, block_step, image_step;
} State;

typedef struct {
  const Order *order;
  Plan plan;
  float *work;
  int threads;       // that the plan is for; there may be fewer
  int first, count;  // pictures of the present group
} Job;

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }
static int parts_of(int whole, int part) { return (whole + part - 1) / part; }
static size_t bordered(Size s) { return (size_t)(s.height + 2) * (s.width + 2); }
static size_t plane_floats(Size size, int channels) { return ALIGNED(bordered(size) * channels); }
static size_t image_floats(Size size) { return ALIGNED((size_t)4 * size.height * size.width); }
static int is_convolution(const Step *step) { return step->kind <= POINT; }
static int has_style(const Step *step) { return is_convolution(step) || step->kind == COLOUR; }
static int makes_features(const Step *step) { return step->kind != SKIP && step->kind != COLOUR; }
static int count_parts(Split s) { return parts_of(s.units, s.rows) * parts_of(s.channels, s.columns) * s.pictures; }

// Tiles at a time, for so many points of each: as many as the cache holds, and enough for kernels to be worth reading.
static int tiles_at_once(const Step *s, int points) {
  if (36 * s->in * s->out > LARGE_KERNELS) return MOST;
  return least(MOST, most(FEWEST, CACHE / (points * (s->in + s->out))));
}

// Channels in so many parts.
static int columns_of(int out, int parts) { return parts_of(parts_of(out, LANES), least(parts, out / LANES)) * LANES; }

static Split split_winograd(const Step *s, int pictures, int threads) {
  int tiles = pictures * pixels_of(s->size) / 16, chunk = tiles_at_once(s, 36);
  int parts = parts_of(tiles, chunk), columns = s->out;
  if (parts >= threads) parts = parts_of(parts, threads) * threads;
  else columns = columns_of(s->out, parts_of(threads, parts));
  int rows = parts_of(tiles, parts);
  return (Split){tiles, rows, s->out, columns, 1, rows, 0};
}

static Split split_up(const Step *s, int pictures, int threads) {
  int across = s->from.width / 4, down = s->from.height / 4;
  int chunk = tiles_at_once(s, 81), band = parts_of(chunk, pictures * across);
  int by_rows = down >= UP_ROWS_A_THREAD * threads ? threads : 1, columns = s->out;
  if (by_rows == 1) {
    columns = columns_of(s->out, threads);
    by_rows = least(parts_of(threads, parts_of(s->out, columns)), most(down / 2, 1));
  }
  int rows = parts_of(down, by_rows), all = pictures * least(rows, band) * across;
  return (Split){down, rows, s->out, columns, 1, parts_of(all, parts_of(all, chunk)), least(rows, band)};
}

// One vector of channels at a time; where there are few, rows are split too.
static Split split_filter(const Step *s, int pictures, int threads) {
  int height = s->size.height, columns = pictures * s->out / W, bands = most(parts_of(2 * threads, columns), 1);
  return (Split){height, parts_of(height, least(bands, height)), s->out, W, pictures, 0, 0};
}

static Split split_of(const Step *s, int pictures, int threads) {
  switch (s->kind) {
    case POINT: {
      int rows = most(POINTS_A_PART / s->size.width, 1);
      return (Split){s->size.height, rows, s->out, s->out, pictures, 0, 0};
    }
    case WAVES: return (Split){s->size.height, 1, s->out, s->out, pictures, 0, 0};
    case FILTER: return split_filter(s, pictures, threads);
    case WINOGRAD: return split_winograd(s, pictures, threads);
    case UP: return split_up(s, pictures, threads);
    case SKIP: return (Split){s->from.height, ROWS_A_PART, s->out, s->out, pictures, 0, 0};
    case COLOUR: return (Split){s->size.height, ROWS_A_PART, 1, 1, pictures, 0, 0};
    default: return (Split){1, 1, s->out, columns_of(s->out, threads), 1, 0, 0};
  }
}

// Floats of work that one part of a step takes.
static int part_floats(const Step *s, int pictures, int threads) {
  Split split = split_of(s, pictures, threads);
  Layer l = {.pictures = pictures, .from = s->from, .size = s->size, .in = s->in, .out = s->out};
  switch (s->kind) {
    case SMALL: return convolve_small_part_floats(&l, split.columns);
    case WINOGRAD: return convolve_part_floats(&l, split.columns, split.chunk);
    case UP_SMALL: return convolve_up_small_part_floats(&l, split.columns);
    case UP: return convolve_up_part_floats(&l, split.columns, split.band, split.chunk);
    case POINT: return point_part_floats(&l, split.rows);
    case WAVES: return 0;
    case FILTER: return filter_part_floats(&l, s->filter);
    case SKIP: return skip_part_floats(&l, split.rows, split.columns);
    default: return 4 * s->in;
  }
}

static Plan plan_of(const Network *network, int pictures, int threads) {
  Plan plan = {.group = least(pictures, GROUP), .planes = 2};
  while (plan.split < network->count && pixels_of(network->steps[plan.split].size) <= COARSE_PX) plan.split++;
  for (int i = 0; i < network->count; i++) {
    const Step *s = network->steps + i;
    int coarse = i < plan.split, together = coarse ? plan.group : 1;
    size_t *plane = coarse ? &plan.coarse : &plan.fine, *image = coarse ? &plan.coarse_image : &plan.fine_image;
    size_t plane_here = plane_floats(s->size, s->out), image_here = image_floats(s->size);
    size_t work = ALIGNED((size_t)part_floats(s, together, threads));
    if (s->kind == COLOUR && image_here > *image) *image = image_here;
    if (makes_features(s) && plane_here > *plane) *plane = plane_here;
    if (work > plan.thread) plan.thread = work;
    if (s->kind == SKIP) plan.planes = 3;
    if (has_style(s)) plan.styles += (s->in + (is_convolution(s) ? s->out : 0)) * (size_t)plan.group;
  }
  plan.styles = ALIGNED(plan.styles);
  plan.total = plan.styles + plan.group * (plan.planes * plan.coarse + 2 * plan.coarse_image) + plan.planes * plan.fine +
               2 * plan.fine_image + threads * plan.thread;
  return plan;
}

// Floats of work that `draw` takes for so many pictures and threads.
long long EXPORT(draw_floats)(const Network *network, int pictures, int threads) {
  return plan_of(network, pictures, threads).total;
}

// Where a step's s [group][in] lies, and after it its gain [group][out].
static float *styles_of(const Job *job, int step) {
  float *at = job->work;
  for (const Step *s = job->order->network->steps; s < job->order->network->steps + step; s++)
    if (has_style(s)) at += (s->in + (is_convolution(s) ? s->out : 0)) * job->plan.group;
  return at;
}

// s = A w + a, and from it the demodulation, of all pictures of the group.
static void make_styles(const Job *job, int step) {
  const Network *network = job->order->network;
  const Step *s = network->steps + step;
  if (!has_style(s)) return;
  int width = network->style_width, group = job->plan.group;
  float *styles = styles_of(job, step), *gain = styles + group * s->in;
  const float *w = job->order->ws + ((size_t)job->first * network->styles + s->style) * width;
  for (int i = 0; i < s->in; i++)  // a row of A is read once for all pictures
    for (int p = 0; p < job->count; p++)
      dense(s->style_weight + i * width, s->style_bias + i, w + (size_t)p * network->styles * width,
            styles + p * s->in + i, 1, width);
  if (is_convolution(s))
    for (int o = 0; o < s->out; o++)
      for (int p = 0; p < job->count; p++)
        demodulate(s->squares + o * s->in, styles + p * s->in, gain + p * s->out + o, 1, s->in, s->scale);
}

// The first of some buffers that holds neither of these.
static float *free_buffer(float *buffers, size_t size, const float *a, const float *b) {
  while (buffers == a || buffers == b) buffers += size;
  return buffers;
}

static void run_part(const Step *s, Layer l, Part p, const State *now, float *image, int picture, float *work,
                     Split split, int colours) {
  switch (s->kind) {
    case SMALL: convolve_small_part(&l, p, work); return;
    case WINOGRAD: convolve_part(&l, p, work, split.chunk); return;
    case UP_SMALL: convolve_up_small_part(&l, p, work); return;
    case UP: convolve_up_part(&l, p, work, split.band, split.chunk); return;
    case POINT: point_part(&l, p, picture, work); return;
    case WAVES: waves_part(&l, s->margin, p, picture); return;
    case FILTER: filter_part(&l, s->filter, s->margin, p, picture, work); return;
    case SKIP:
      l.y = output_of(&l, picture);
      l.x = input_of(&l, picture);
      skip_part(&l, p, work);
      return;
    default:
      modulate_colours(s->kernels, l.s + picture * s->in, work, colours, s->in);
      colour_rows(input_of(&l, picture), image + picture * now->image_step,
                  now->image ? now->image + picture * now->image_step : 0, work, s->bias, s->clamp, s->size, s->in,
                  p.begin, p.end);
  }
}

// One step for `count` pictures of the group from `first` on; the state is what the step finds, then what it leaves.
static void run_step(Team *team, const Job *job, int step, int first, int count, float *features, size_t feature_step,
                     float *images, State *now, float *work) {
  const Order *order = job->order;
  const Step *s = order->network->steps + step;
  Split split = split_of(s, job->plan.split > step ? job->plan.group : 1, job->threads);
  int is_skip = s->kind == SKIP, group = job->plan.group, all = job->plan.split > step ? group : 1;
  if (job->plan.planes > 2 && (s->kind == UP || s->kind == UP_SMALL)) {
    now->block = now->x;
    now->block_step = now->x_step;
  }
  size_t size = feature_step * all, image_size = now->image_step * all;
  float *y = is_skip ? (float *)now->x : free_buffer(features, size, now->x, now->block);
  float *image = free_buffer(images, image_size, now->image, 0);
  float *styles = styles_of(job, step);
  const float *noise = is_convolution(s) ? order->noise[step] : 0;
  int noise_step = noise ? order->noise_step[step] : 0;
  Layer l = {.x = is_skip ? now->block : now->x,
             .x_step = is_skip ? now->block_step : now->x_step,
             .y = y,
             .kernels = s->kernels,
             .s = styles + first * s->in,
             .gain = styles + group * s->in + first * s->out,
             .bias = s->bias,
             .noise = noise ? noise + (size_t)(job->first + first) * noise_step : 0,
             .noise_step = noise_step,
             .clamp = s->clamp,
             .pictures = count,
             .from = s->from,
             .size = s->size,
             .in = s->in,
             .out = s->out};
  split.pictures = split.pictures > 1 ? count : 1;
  if (s->kind == WINOGRAD) split.units = count * pixels_of(s->size) / 16;
  int columns = parts_of(split.channels, split.columns), rows = parts_of(split.units, split.rows);
  for (int part; (part = team_next(team)) < count_parts(split);) {
    int row = part / columns % rows * split.rows, column = part % columns * split.columns;
    Part p = {row, least(row + split.rows, split.units), column, least(split.columns, split.channels - column)};
    if (part == 0 && makes_features(s))
      for (int picture = 0; picture < count; picture++) clear_border(output_of(&l, picture), s->size.height, s->size.width, s->out);
    run_part(s, l, p, now, image, part / columns / rows, work, split, order->network->image_channels);
  }
  if (s->kind == COLOUR) now->image = image;
  else {
    now->x = y;
    now->x_step = bordered(s->size) * s->out;
  }
  team_barrier(team);
}

// Rows of the finished image [height][width][4] to where the caller wants them.
static void hand_over(const Order *order, int picture, const float *image, int from, int to) {
  int width = order->network->size.width, channels = order->network->image_channels;
  size_t pixels = (size_t)order->network->size.height * width;
  image += (size_t)from * width * 4;
  for (size_t n = (size_t)from * width; n < (size_t)to * width; n++, image += 4)
    for (int c = 0; c < channels; c++) {
      if (order->images) order->images[(picture * (size_t)channels + c) * pixels + n] = image[c];
      if (order->bytes) order->bytes[(picture * pixels + n) * channels + c] = byte_of(image[c]);
    }
}

static void hand_over_picture(Team *team, const Order *order, int picture, const float *image) {
  int height = order->network->size.height;
  for (int part; (part = team_next(team)) * ROWS_A_PART < height;)
    hand_over(order, picture, image, part * ROWS_A_PART, least((part + 1) * ROWS_A_PART, height));
  team_barrier(team);
}

// A group of pictures, as every thread sees it.
static void run_group(Team *team, const Job *job, int thread) {
  const Plan *plan = &job->plan;
  const Network *network = job->order->network;
  float *coarse = job->work + plan->styles, *coarse_images = coarse + plan->group * plan->planes * plan->coarse;
  float *fine = coarse_images + plan->group * 2 * plan->coarse_image, *fine_images = fine + plan->planes * plan->fine;
  float *work = fine_images + 2 * plan->fine_image + thread * plan->thread;
  for (int step; (step = team_next(team)) < network->count;) make_styles(job, step);
  team_barrier(team);
  State now = {.x = network->constant};
  if (!now.x) {
    now.x_step = (size_t)pixels_of(network->steps->from) * network->steps->in;
    now.x = job->order->waves + job->first * now.x_step;
  }
  for (int step = 0; step < plan->split; step++) {
    now.image_step = plan->coarse_image;
    run_step(team, job, step, 0, job->count, coarse, plan->coarse, coarse_images, &now, work);
  }
  for (int p = 0; p < job->count; p++) {
    State own = now;
    own.x = now.x + p * now.x_step;
    own.image = now.image ? now.image + p * plan->coarse_image : 0;
    own.x_step = own.block_step = 0;
    own.image_step = plan->fine_image;
    for (int step = plan->split; step < network->count; step++)
      run_step(team, job, step, p, 1, fine, plan->fine, fine_images, &own, work);
    hand_over_picture(team, job->order, job->first + p, own.image);
  }
}

static void program(Team *team, int thread, void *context) {
  Job job = *(const Job *)context;
  for (; job.first < job.order->pictures; job.first += job.plan.group) {
    job.count = least(job.plan.group, job.order->pictures - job.first);
    run_group(team, &job, thread);
  }
}

// Draw pictures from styles ws [pictures][styles][style_width], to images or bytes or both; work: `draw_floats`.
// noise and noise_step have an element for each step; for waves see `waves_part`.
void EXPORT(draw)(const Network *network, const float *ws, const float *waves, const float *const *noise,
                  const int *noise_step, float *images, unsigned char *bytes, float *work, int pictures, int threads) {
  Order order = {network, ws, waves, noise, noise_step, images, bytes, pictures};
  Job job = {.order = &order, .plan = plan_of(network, pictures, threads), .work = work, .threads = threads};
  team_run(program, &job, threads);
}

// Sizes of what Python lays out, by which it knows a library that was compiled from other sources.
long long EXPORT(structures)(void) {
  return (((sizeof(Network) * 1000LL + sizeof(Step)) * 1000 + sizeof(Filter)) * 1000 + sizeof(Upscaler)) * 1000 +
         sizeof(UpscalerLayer);
}

// Floats of a vector, by which Python knows how to pad.
int EXPORT(vector_floats)(void) { return W; }
