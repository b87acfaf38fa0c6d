// Threads that go through the same program together and share each of its steps.
#ifndef METAGAN_CREW_H
#define METAGAN_CREW_H

// The program that every thread runs; `thread` counts from 0, the caller's own.
typedef struct Crew Crew;
typedef void Program(Crew *crew, int thread, void *context);

// Run it on so many threads, or on fewer where the system gives no more; back when all have ended. Threads live as long
// as the call: nothing is left behind for a fork to break.
void crew_run(Program *program, void *context, int threads);

// How many threads there are.
int crew_size(const Crew *crew);

// The next part of the present step, from 0 on; each number goes to one thread.
int crew_take(Crew *crew);

// Wait until all threads are here; then parts count from 0 again.
void crew_meet(Crew *crew);

#endif
