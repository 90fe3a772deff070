/* Directories of the spool, and the locks in them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Opens a directory, making it and those above it (0700) where they are missing. -1 and errno. */
int directory_make_path(const char *path);

/* Makes and opens a new directory with a file `lock`, and locks it. 0, or an errno: EWOULDBLOCK, ENOENT, EEXIST and ESTALE
 * where others removed it each time that it was tried. Nothing is open then, and both are -1. */
int directory_make_locked(int parent, const char *name, int *directory, int *lock);

/* Removes what directory_make_locked was making when its process was killed, if that was before a time (seconds since 1970)
 * of the file system's clock. What it is making still is spared once it is locked, whatever that clock says. */
void directory_remove_unfinished(int parent, const char *name, int64_t before);

/* Opens a directory and locks it, if nobody else does. 0; EWOULDBLOCK: somebody does; or another errno. Nothing is open
 * then. */
int directory_take(int parent, const char *name, int *directory, int *lock);

/* Opens a directory below another, which is made if it is missing. -1 and errno. */
int directory_make_below(int parent, const char *name);

/* Calls `visit` for the name of each thing in it but `.` and `..`, in the order of the names: clients' directories are named
 * by when they were made, so that the oldest is adopted first. False when it can't be read. */
bool directory_each(int directory, void (*visit)(void *context, const char *name), void *context);

bool directory_holds_only_lock(int directory);

/* Whether a name in a directory still leads to what is open. */
bool directory_is(int parent, const char *name, int fd);

/* Forces the names in it to the disk, where the file system knows how. 0, or an errno. */
int directory_sync(int directory);
