/* The main function of a target that is built without a fuzzer: tries the files that are named, and all that are in the
 * directories that are named. */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static int tried;

_Noreturn static void cannot(const char *what, const char *path) {
    fprintf(stderr, "%s cannot be %s: %s\n", path, what, strerror(errno));
    exit(2);
}

static void try_file(const char *path, size_t size) {
    uint8_t *bytes = malloc(size + 1);
    FILE *file = bytes ? fopen(path, "rb") : NULL;
    if (!file || fread(bytes, 1, size, file) != size)
        cannot("read", path);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    tried++;
}

static void try_path(const char *path);

static void try_directory(const char *path) {
    DIR *directory = opendir(path);
    if (!directory)
        cannot("opened", path);
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char *inner = NULL;
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&inner, "%s/%s", path, entry->d_name) < 0)
            cannot("named", path);
        try_path(inner);
        free(inner);
    }
    closedir(directory);
}

static void try_path(const char *path) {
    struct stat found;
    if (stat(path, &found) != 0)
        cannot("found", path);
    if (S_ISDIR(found.st_mode))
        try_directory(path);
    else
        try_file(path, (size_t)found.st_size);
}

int main(int count, char **paths) {
    for (int i = 1; i < count; i++)
        try_path(paths[i]);
    printf("%d inputs tried\n", tried);
    return tried > 0 ? 0 : 1; /* a corpus that is not there proves nothing */
}
