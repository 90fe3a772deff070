/* The child after fork(). */
#pragma once

#ifdef CARBOND_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* What a thread of the parent held by its stack alone was lost with that thread: in the child nobody looks for leaks. */
static inline void forked_child_begins(void) {
#ifdef CARBOND_VALGRIND
    VALGRIND_CLO_CHANGE("--leak-check=no");
#endif
}
