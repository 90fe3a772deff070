#include "api/list.h"

#include "api/call.h"

#include <stdlib.h>
#include <string.h>

/* What is gathered before the answer begins to stream, and between two writes to the stream. */
enum { LIST_BLOCK = 32 * 1024 };

struct list {
    struct call *call;
    struct buffer text;
    struct http_stream *stream; /* NULL: all is still in `text` */
    bool found;
    bool any; /* an element was written */
    bool failed;
    char *around; /* of a page: the object's other members, {"total": ...} */
};

static bool is_page(const struct list *list) {
    return list->call->route->shape == SHAPE_PAGE;
}

static void open_list(struct list *list) {
    buffer_text(&list->text, is_page(list) ? "{\"items\": [" : "[");
}

/* The object's members follow the items: "]" and what stands behind its brace. */
static void close_list(struct list *list) {
    buffer_char(&list->text, ']');
    if (!is_page(list))
        return;
    buffer_text(&list->text, ", ");
    buffer_text(&list->text, list->around ? list->around + 1 : "}");
}

static bool flush(struct list *list) {
    if (!list->stream)
        list->stream = http_reply_stream(list->call->request, HTTP_JSON);
    if (!list->stream || list->text.failed ||
        !http_stream_write(list->stream, list->text.data, list->text.size))
        return false;
    list->text.size = 0;
    return true;
}

static bool keep_around(struct list *list, const struct db_row *row) {
    if (!is_page(list) || row->count < 2 || !row->columns[1])
        return true;
    list->around = strdup(row->columns[1]);
    return list->around != NULL;
}

static bool take_row(void *context, const struct db_row *row) {
    struct list *list = context;
    if (!list->found) {
        list->found = true;
        open_list(list);
        list->failed = !keep_around(list, row);
    }
    if (row->columns[0]) {
        if (list->any)
            buffer_text(&list->text, ", ");
        list->any = true;
        buffer_text(&list->text, row->columns[0]);
    }
    if (!list->failed && list->text.size >= LIST_BLOCK)
        list->failed = !flush(list);
    return !list->failed;
}

static bool forget_rows(void *context) {
    struct list *list = context;
    if (list->stream)
        return false;
    list->text.size = 0;
    list->found = list->any = list->failed = false;
    free(list->around);
    list->around = NULL;
    return true;
}

/* The request is not ours any more: only the stream is. */
static void end_stream(struct list *list, bool well) {
    if (well)
        close_list(list);
    well = well && !list->text.failed && http_stream_write(list->stream, list->text.data, list->text.size);
    http_stream_end(list->stream, well);
}

static void end_whole(struct list *list, enum db_outcome outcome) {
    struct call *call = list->call;
    bool of_something = call->route->of[0] != NULL;
    if (outcome != DB_OK || list->failed) {
        call_reply_outcome(call, outcome != DB_OK ? outcome : DB_FAILED);
        return;
    }
    if (!list->found && of_something) {
        call_reply_miss(call);
        return;
    }
    if (!list->found)
        open_list(list);
    close_list(list);
    http_reply_buffer(call->request, 200, HTTP_JSON, &list->text);
}

void list_answer(struct call *call) {
    struct list list = {.call = call};
    const struct db_taker taker = {take_row, forget_rows, &list};
    enum db_outcome outcome = call_ask(call, &taker);
    if (list.stream)
        end_stream(&list, outcome == DB_OK && !list.failed);
    else
        end_whole(&list, outcome);
    buffer_free(&list.text);
    free(list.around);
}
