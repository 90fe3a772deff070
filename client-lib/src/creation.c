#include "creation.h"

#include "clock.h"
#include "record.h"
#include "versioned.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 4096 };

enum kind { TEXT, COUNT, NUMBER };

/* clang-format off */
#define AT(member) #member, offsetof(carbond_run_info, member)
static const struct {
    const char *name;
    size_t offset;
    enum kind kind;
} MEMBERS[] = {
    {AT(os),                 TEXT},
    {AT(python_version),     TEXT},
    {AT(codecarbon_version), TEXT},
    {AT(cpu_count),          COUNT},
    {AT(cpu_model),          TEXT},
    {AT(gpu_count),          COUNT},
    {AT(gpu_model),          TEXT},
    {AT(longitude),          NUMBER},
    {AT(latitude),           NUMBER},
    {AT(region),             TEXT},
    {AT(provider),           TEXT},
    {AT(ram_total_size),     NUMBER},
    {AT(tracking_mode),      TEXT},
};
/* clang-format on */

void carbond_run_info_init(carbond_run_info *info, size_t size) {
    carbond_run_info fresh = {.size = size,
                              .cpu_count = -1,
                              .gpu_count = -1,
                              .longitude = NAN,
                              .latitude = NAN,
                              .ram_total_size = NAN};
    memset(info, 0, size);
    memcpy(info, &fresh, size < sizeof fresh ? size : sizeof fresh);
}

/* Each makes the value of a member, or null for what is unknown. NULL: it can't be said in JSON. */

static json_t *make_text(const char *text) {
    if (!text)
        return json_null();
    return strlen(text) <= TEXT_MOST ? json_string(text) : NULL;
}

static json_t *make_number(double number) {
    return isnan(number) ? json_null() : json_real(number);
}

static json_t *make_member(const void *place, enum kind kind) {
    switch (kind) {
    case TEXT: return make_text(*(const char *const *)place);
    case COUNT: return *(const int32_t *)place < 0 ? json_null() : json_integer(*(const int32_t *)place);
    case NUMBER: return make_number(*(const double *)place);
    }
    return NULL;
}

static json_t *make_object(const carbond_run_info *info, const char *id, const char *experiment,
                           const char *timestamp) {
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "id", id, "experiment_id", experiment, "timestamp", timestamp);
    bool good = object != NULL;
    for (size_t i = 0; good && i < sizeof MEMBERS / sizeof *MEMBERS; i++)
        good = json_object_set_new(object, MEMBERS[i].name,
                                   make_member((const char *)info + MEMBERS[i].offset, MEMBERS[i].kind)) == 0;
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static bool read_info(const carbond_run_info *from, carbond_run_info *to) {
    carbond_run_info_init(to, sizeof *to);
    return !from ||
           read_versioned(to, sizeof *to, from, from->size, FIRST_SIZE(carbond_run_info, ram_total_size));
}

int creation_make(struct creation *creation, const carbond_run_info *given, const char *experiment_id,
                  struct id_maker *ids) {
    carbond_run_info known, *info = &known;
    if (!read_info(given, info))
        return CARBOND_INVALID;
    const char *experiment = info->experiment_id ? info->experiment_id : experiment_id;
    int64_t start = info->timestamp != 0 ? info->timestamp : clock_wall();
    char id[ID_TEXT_SIZE], timestamp[CLOCK_TEXT_SIZE];
    struct id parsed;
    if (!experiment || !id_parse(experiment, &parsed) || !clock_is_writable(start) ||
        info->ram_total_size < 0 || (info->id && !id_parse(info->id, &creation->id)))
        return CARBOND_INVALID;
    if (!info->id)
        creation->id = id_new(ids);
    id_format(&creation->id, id);
    clock_format(start, timestamp);

    errno = 0;
    json_t *object = make_object(info, id, experiment, timestamp);
    creation->json = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!creation->json) /* a text that is too long or no UTF-8, or no memory for it */
        return errno == ENOMEM ? CARBOND_NO_MEMORY : CARBOND_INVALID;
    creation->length = strlen(creation->json);
    if (creation->length <= RECORD_JSON_MOST)
        return CARBOND_OK;
    free(creation->json);
    return CARBOND_INVALID;
}

char *creation_with_dropped(const char *json, size_t length, uint64_t dropped, size_t *new_length) {
    char *body = NULL;
    if (dropped > INT32_MAX) /* the largest that a server takes */
        dropped = INT32_MAX;
    int size = dropped > 0 ? asprintf(&body, "{\"emissions_dropped\":%" PRIu64 ",%.*s", dropped,
                                      (int)length - 1, json + 1)
                           : asprintf(&body, "%.*s", (int)length, json);
    *new_length = size < 0 ? 0 : (size_t)size;
    return size < 0 ? NULL : body;
}
