/* Threads and conditions as all of carbond uses them. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread that takes no signals: they are the main thread's. `name` has at most 15 bytes. */
bool thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

/* A condition whose timed waits go by CLOCK_MONOTONIC. */
void condition_init(pthread_cond_t *condition);
