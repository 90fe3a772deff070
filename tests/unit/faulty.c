/* Commits the fault that its argument names, for a tool to find (tests/api/test_tool.py). What the tool finds at once counts
 * though the program is killed right after; a leak is found at the end. */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static void *volatile held;
static volatile size_t size = 16;
static int shared;

static void leak(void) {
    held = malloc(size);
    held = NULL;
}

static void overrun(void) {
    held = malloc(size);
    if (held)
        ((volatile char *)held)[size] = 1;
    raise(SIGKILL);
}

static void *count(void *unused) {
    shared++;
    return unused;
}

static void race(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) != 0)
        return;
    count(NULL);
    pthread_join(thread, NULL);
    raise(SIGKILL);
}

static const struct {
    const char *name;
    void (*commit)(void);
} faults[] = {{"leak", leak}, {"overrun", overrun}, {"race", race}};

int main(int count_of_words, char **words) {
    for (size_t i = 0; count_of_words == 2 && i < sizeof faults / sizeof *faults; i++)
        if (strcmp(faults[i].name, words[1]) == 0)
            faults[i].commit();
    return 0;
}
