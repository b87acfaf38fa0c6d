#include "team.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST 256     // threads
#define SPINS 20000  // looks at the others before sleeping: most steps end for all at nearly the same time

struct Team {
  Program *program;
  void *context;
  int size;
  atomic_int next, arrived, barriers;
  pthread_mutex_t lock;
  pthread_cond_t all_here;
};

typedef struct {
  Team *team;
  int thread;
} Member;

int team_size(const Team *team) { return team->size; }

int team_next(Team *team) { return atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed); }

void team_barrier(Team *team) {
  int passed = atomic_load(&team->barriers);
  if (atomic_fetch_add(&team->arrived, 1) + 1 == team->size) {
    atomic_store(&team->next, 0);
    atomic_store(&team->arrived, 0);
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->barriers, passed + 1);
    pthread_cond_broadcast(&team->all_here);
    pthread_mutex_unlock(&team->lock);
    return;
  }
  for (int i = 0; i < SPINS; i++)
    if (atomic_load_explicit(&team->barriers, memory_order_acquire) != passed) return;
  pthread_mutex_lock(&team->lock);
  while (atomic_load(&team->barriers) == passed) pthread_cond_wait(&team->all_here, &team->lock);
  pthread_mutex_unlock(&team->lock);
}

static void *member_main(void *argument) {
  Member *member = argument;
  Team *team = member->team;
  pthread_mutex_lock(&team->lock);  // until it is known how many threads there are
  pthread_mutex_unlock(&team->lock);
  team->program(team, member->thread, team->context);
  return 0;
}

void team_run(Program *program, void *context, int threads) {
  Team team = {.program = program, .context = context, .size = 1};
  Member members[MOST];
  pthread_t handles[MOST];
  if (threads > MOST) threads = MOST;
  pthread_mutex_init(&team.lock, 0);
  pthread_cond_init(&team.all_here, 0);
  pthread_mutex_lock(&team.lock);
  while (team.size < threads) {
    members[team.size] = (Member){&team, team.size};
    if (pthread_create(&handles[team.size], 0, member_main, &members[team.size])) break;
    team.size++;
  }
  pthread_mutex_unlock(&team.lock);
  program(&team, 0, context);
  for (int i = 1; i < team.size; i++) pthread_join(handles[i], 0);
  pthread_cond_destroy(&team.all_here);
  pthread_mutex_destroy(&team.lock);
}
