#include "base/json.h"

#include "base/buffer.h"

#include <stdlib.h>

static _Thread_local bool lacked_memory;

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory)
        lacked_memory = true;
    return memory;
}

void json_watch_memory(void) {
    json_set_alloc_funcs(allocate, free);
}

bool json_lacked_memory(void) {
    bool lacked = lacked_memory;
    lacked_memory = false;
    return lacked;
}

static int append(const char *piece, size_t size, void *context) {
    struct buffer *text = context;
    buffer_append(text, piece, size);
    return text->failed ? -1 : 0;
}

char *json_text(json_t *document) {
    struct buffer text = {0};
    bool well = document && json_dump_callback(document, append, &text, 0) == 0 && !text.failed;
    json_decref(document);
    if (well)
        return text.data;
    buffer_free(&text);
    return NULL;
}
