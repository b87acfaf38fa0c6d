// A whole upscaler: pictures of one size to larger ones. See metagan/networks/upscaler/network.py.
//
// Threads take small pictures one each, and wait for nobody; they share the rows of large ones, or of a few. Sides are
// filled up to whole tiles, and what lies beyond the picture becomes zero after each layer, as the border is. No bit
// depends on how rows are split.
#include <stddef.h>

#include "../upscale.h"
#include "native.h"
#include "team.h"

#define TILE_SIZE 4
#define SMALL_PX (128 * 128)  // pictures that a thread takes alone: of larger ones, each thread's planes would be too many
#define CACHE (3 << 15)       // floats of transformed tiles that are worked on at a time, beside the kernels
#define MOST_TILES 64         // of these
#define ALIGNED(floats) (((floats) + 15) / 16 * 16)

// Where everything lies; sizes are in floats.
typedef struct {
  size_t input, features, folded, doubled, missing;  // of each plane
  size_t planes, thread;                             // of all planes; of what a thread works with beside them
  int alone;                                         // whether each thread takes whole pictures
} Plan;

typedef struct {
  const Upscaler *upscaler;
  const float *images;   // [pictures][3][size]
  unsigned char *bytes;  // [pictures][factor size][3]
  float *work;
  Size size, filled;  // of pictures; with sides that are whole tiles
  int pictures;
  Plan plan;
} Job;

// One picture, and its planes; `work` is the first thread's.
typedef struct {
  const Job *job;
  int picture;
  float *input, *features[3], *folded, *doubled, *missing, *work;
} Place;

static int least(int a, int b) { return a < b ? a : b; }
static int most(int a, int b) { return a > b ? a : b; }
static int whole_tiles(int side) { return (side + TILE_SIZE - 1) / TILE_SIZE * TILE_SIZE; }
static size_t plane_floats(Size s, int channels) { return ALIGNED((size_t)(s.height + 2) * (s.width + 2) * channels); }
static Size scaled(Size s, int factor) { return (Size){s.height * factor, s.width * factor}; }
static const UpscalerLayer *last_of(const Upscaler *u) { return u->layers + 1 + 2 * u->blocks + (u->factor == 4); }

// Tiles that are multiplied at a time.
static int chunk_of(const UpscalerLayer *layer) {
  return least(MOST_TILES, most(1, CACHE / (36 * (layer->in + layer->out))));
}

static Plan plan_of(const Upscaler *u, Size size, Size filled, int pictures, int threads) {
  const UpscalerLayer *last = last_of(u);
  Size half = scaled(filled, u->factor / 2);
  Plan plan = {.input = plane_floats(filled, u->layers->in),
               .features = plane_floats(filled, u->layers->out),
               .folded = u->factor == 4 ? plane_floats(filled, last[-1].out) : 0,
               .doubled = u->factor == 4 ? plane_floats(half, last->in) : 0,
               .missing = plane_floats(half, last->out),
               .alone = pictures >= threads && pixels_of(size) <= SMALL_PX};
  plan.planes = plan.input + 3 * plan.features + plan.folded + plan.doubled + plan.missing;
  for (const UpscalerLayer *layer = u->layers; layer <= last; layer++) {
    Layer l = {.in = layer->in, .out = layer->out};
    size_t floats = ALIGNED((size_t)convolve_part_floats(&l, layer->out, chunk_of(layer)));
    if (floats > plan.thread) plan.thread = floats;
  }
  return plan;
}

static Job job_of(const Upscaler *u, Size size, int pictures, int threads) {
  Job job = {.upscaler = u, .size = size, .pictures = pictures};
  job.filled = (Size){whole_tiles(size.height), whole_tiles(size.width)};
  job.plan = plan_of(u, size, job.filled, pictures, threads);
  return job;
}

// The planes at `at`, all that is never written zero: borders, and channels that only fill vectors up.
static Place place_at(const Job *job, float *at) {
  const Plan *plan = &job->plan;
  Size filled = job->filled;
  Place p = {.job = job, .input = at, .work = at + plan->planes};
  at += plan->input;
  for (int i = 0; i < 3; i++, at += plan->features) {
    p.features[i] = at;
    clear_border(at, filled.height, filled.width, job->upscaler->layers->out);
  }
  p.folded = at;
  p.doubled = p.folded + plan->folded;
  p.missing = p.doubled + plan->doubled;
  __builtin_memset(p.input, 0, plan->input * sizeof(float));
  __builtin_memset(p.doubled, 0, plan->doubled * sizeof(float));
  return p;
}

// Rows of features: what lies beyond the picture becomes zero.
static void clear_beyond(float *plane, Size size, Size filled, int channels, int from, int to) {
  for (int row = from; row < to; row++) {
    int column = row < size.height ? size.width : 0;
    size_t floats = (size_t)(filled.width - column) * channels;
    __builtin_memset(plane + inside(row, column, filled.width, channels), 0, floats * sizeof(float));
  }
}

static Colours image_of(const Place *p) {
  Size size = p->job->size;
  const float *first = p->job->images + (size_t)3 * pixels_of(size) * p->picture;
  return (Colours){first, size.width, 1, pixels_of(size)};
}

// The larger picture's rows, from what is missing at half its size.
static void give(const Place *p, int in, int from, int to) {
  const Job *job = p->job;
  int factor = job->upscaler->factor;
  Size larger = scaled(job->size, factor);
  unsigned char *bytes = job->bytes + 3 * ((size_t)larger.height * p->picture + from) * larger.width;
  give_rows(image_of(p), p->missing, bytes, 3, larger.width, factor, job->filled.width * factor / 2, in, from,
            least(to, larger.height));
}

// y = prelu(conv3x3(x)) + residual, the picture being `factor` times its size, and what follows for the same rows.
static void run_layer(Team *team, const Place *p, const UpscalerLayer *layer, int factor, const float *x, float *y,
                      const float *residual, float *work) {
  const Upscaler *u = p->job->upscaler;
  Size size = scaled(p->job->size, factor), filled = scaled(p->job->filled, factor);
  int chunk = chunk_of(layer), across = filled.width / TILE_SIZE, down = filled.height / TILE_SIZE;
  int band = least(most(chunk / across, 1), most(down / team_size(team), 1)), out = layer->out;
  Layer l = {.x = x, .y = y, .kernels = layer->kernels, .s = u->ones, .gain = u->ones, .bias = layer->bias,
             .clamp = __builtin_inff(), .pictures = 1, .from = filled, .size = filled, .in = layer->in, .out = out};
  for (int part; (part = team_next(team)) * band < down;) {
    int first = part * band, last = least(first + band, down), from = first * TILE_SIZE, to = last * TILE_SIZE;
    convolve_part(&l, (Part){first * across, last * across, 0, out}, work, chunk);
    rectify_rows(y, layer->slopes, residual, filled.width, out, from, to);
    clear_beyond(y, size, filled, out, from, to);
    if (y == p->missing) give(p, out, 2 * from, 2 * to);
    else if (y == p->folded) {
      int in = last_of(u)->in;
      shuffle_rows(y, p->doubled, filled.width, out, u->fine_channels, in, 2 * from, 2 * to);
    }
  }
  team_barrier(team);
}

static void enlarge_picture(Team *team, const Place *p, float *work) {
  const Upscaler *u = p->job->upscaler;
  const UpscalerLayer *layer = u->layers;
  Size size = p->job->size;
  float *x = p->features[0], *y = p->features[1], *between = p->features[2];
  for (int row; (row = team_next(team)) < size.height;)
    take_rows(image_of(p), p->input, size.width, p->job->filled.width, layer->in, row, row + 1);
  team_barrier(team);
  run_layer(team, p, layer++, 1, p->input, x, 0, work);
  for (int block = 0; block < u->blocks; block++) {
    run_layer(team, p, layer++, 1, x, between, 0, work);
    run_layer(team, p, layer++, 1, between, y, x, work);
    float *former = x;
    x = y;
    y = former;
  }
  if (u->factor == 4) run_layer(team, p, layer++, 1, x, p->folded, 0, work);
  run_layer(team, p, layer, u->factor / 2, u->factor == 4 ? p->doubled : x, p->missing, 0, work);
}

static void share_picture(Team *team, int thread, void *context) {
  const Place *p = context;
  enlarge_picture(team, p, p->work + thread * p->job->plan.thread);
}

static void take_pictures(Team *team, int thread, void *context) {
  const Job *job = context;
  Place p = place_at(job, job->work + thread * (job->plan.planes + job->plan.thread));
  while ((p.picture = team_next(team)) < job->pictures) team_run(share_picture, &p, 1);
}

// Floats of work that `enlarge` takes.
long long EXPORT(enlarge_floats)(const Upscaler *upscaler, int height, int width, int pictures, int threads) {
  Plan plan = job_of(upscaler, (Size){height, width}, pictures, threads).plan;
  return plan.alone ? threads * (plan.planes + plan.thread) : plan.planes + threads * plan.thread;
}

// Images [pictures][3][height][width], of which [-1, 1] is taken, to bytes [pictures][factor height][factor width][3].
void EXPORT(enlarge)(const Upscaler *upscaler, const float *images, unsigned char *bytes, float *work, int height,
                     int width, int pictures, int threads) {
  Job job = job_of(upscaler, (Size){height, width}, pictures, threads);
  job.images = images;
  job.bytes = bytes;
  job.work = work;
  if (job.plan.alone) {
    team_run(take_pictures, &job, threads);
    return;
  }
  Place p = place_at(&job, work);
  for (; p.picture < pictures; p.picture++) team_run(share_picture, &p, threads);
}
