#include "crew.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST 256     // threads
#define SPINS 20000  // looks at the others before sleeping: most steps end for all at nearly the same time

struct Crew {
  Program *program;
  void *context;
  int size;
  atomic_int next, arrived, meetings;
  pthread_mutex_t lock;
  pthread_cond_t all_here;
};

typedef struct {
  Crew *crew;
  int thread;
} Member;

int crew_size(const Crew *crew) { return crew->size; }

int crew_take(Crew *crew) { return atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed); }

void crew_meet(Crew *crew) {
  int meeting = atomic_load(&crew->meetings);
  if (atomic_fetch_add(&crew->arrived, 1) + 1 == crew->size) {
    atomic_store(&crew->next, 0);
    atomic_store(&crew->arrived, 0);
    pthread_mutex_lock(&crew->lock);
    atomic_store(&crew->meetings, meeting + 1);
    pthread_cond_broadcast(&crew->all_here);
    pthread_mutex_unlock(&crew->lock);
    return;
  }
  for (int i = 0; i < SPINS; i++)
    if (atomic_load_explicit(&crew->meetings, memory_order_acquire) != meeting) return;
  pthread_mutex_lock(&crew->lock);
  while (atomic_load(&crew->meetings) == meeting) pthread_cond_wait(&crew->all_here, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
}

static void *member_main(void *argument) {
  Member *member = argument;
  Crew *crew = member->crew;
  pthread_mutex_lock(&crew->lock);  // until it is known how many threads there are
  pthread_mutex_unlock(&crew->lock);
  crew->program(crew, member->thread, crew->context);
  return 0;
}

void crew_run(Program *program, void *context, int threads) {
  Crew crew = {.program = program, .context = context, .size = 1};
  Member members[MOST];
  pthread_t handles[MOST];
  if (threads > MOST) threads = MOST;
  pthread_mutex_init(&crew.lock, 0);
  pthread_cond_init(&crew.all_here, 0);
  pthread_mutex_lock(&crew.lock);
  while (crew.size < threads) {
    members[crew.size] = (Member){&crew, crew.size};
    if (pthread_create(&handles[crew.size], 0, member_main, &members[crew.size])) break;
    crew.size++;
  }
  pthread_mutex_unlock(&crew.lock);
  program(&crew, 0, context);
  for (int i = 1; i < crew.size; i++) pthread_join(handles[i], 0);
  pthread_cond_destroy(&crew.all_here);
  pthread_mutex_destroy(&crew.lock);
}
