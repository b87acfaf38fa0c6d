// Threads that go through the same program together and share each of its steps.
#ifndef METAGAN_TEAM_H
#define METAGAN_TEAM_H

// The program that every thread runs; `thread` counts from 0, the caller's own.
typedef struct Team Team;
typedef void Program(Team *team, int thread, void *context);

// Run it on so many threads, or on fewer where the system gives no more; back when all have ended. Threads live as long
// as the call: nothing is left behind for a fork to break.
void team_run(Program *program, void *context, int threads);

// How many threads there are.
int team_size(const Team *team);

// The next part of the present step, from 0 on; each number goes to one thread.
int team_next(Team *team);

// Wait until all threads are here; then parts count from 0 again.
void team_barrier(Team *team);

#endif
