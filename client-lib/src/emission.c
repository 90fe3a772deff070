#include "emission.h"

#include "clock.h"
#include "number.h"
#include "versioned.h"

#include <math.h>
#include <string.h>

/* What a server takes: the same bounds as it has, so that what is accepted here is accepted there. */
#define MOST 1e290

/* clang-format off */
#define NUMBER(name, most) {#name, sizeof #name - 1, offsetof(carbond_emission, name), most}

/* The order is that of the spool's format: add at the end only, and with a new version of the format. */
static const struct number {
    const char *name;
    size_t length;
    size_t offset;
    double most;
} NUMBERS[] = {
    NUMBER(duration,                MOST), /* the only one that must be known, and more than 0 */
    NUMBER(emissions_sum,           MOST),
    NUMBER(emissions_rate,          MOST),
    NUMBER(energy_consumed,         MOST),
    NUMBER(cpu_power,               MOST),
    NUMBER(gpu_power,               MOST),
    NUMBER(ram_power,               MOST),
    NUMBER(cpu_energy,              MOST),
    NUMBER(gpu_energy,              MOST),
    NUMBER(ram_energy,              MOST),
    NUMBER(cpu_utilization_percent, 100),
    NUMBER(gpu_utilization_percent, 100),
    NUMBER(ram_utilization_percent, 100),
    NUMBER(wue,                     MOST),
};
/* clang-format on */

_Static_assert(sizeof NUMBERS / sizeof *NUMBERS == EMISSION_NUMBERS, "each number has its place");

void carbond_emission_init(carbond_emission *emission, size_t size) {
    const double unknown = NAN;
    carbond_emission fresh = {.size = size};
    for (size_t i = 0; i < EMISSION_NUMBERS; i++)
        memcpy((char *)&fresh + NUMBERS[i].offset, &unknown, sizeof unknown);
    /* What a later version adds is zeroed: it is unknown to this one. */
    memset(emission, 0, size);
    memcpy(emission, &fresh, size < sizeof fresh ? size : sizeof fresh);
}

/* One that a later header has added is unknown to programs that were compiled with an earlier one. */
static double number_of(const carbond_emission *emission, size_t i) {
    const void *place = (const char *)emission + NUMBERS[i].offset;
    return NUMBERS[i].offset < emission->size ? *(const double *)place : NAN;
}

/* This is the way of every emission: a number is read where it lies, and compared twice. */
static bool read_numbers(const carbond_emission *from, double *numbers) {
    for (size_t i = 0; i < EMISSION_NUMBERS; i++) {
        double number = number_of(from, i);
        if (number < 0 || number > NUMBERS[i].most)
            return false;
        numbers[i] = number;
    }
    return numbers[0] > 0;
}

bool emission_read(const carbond_emission *from, struct emission *to) {
    if (!from || from->size < FIRST_SIZE(carbond_emission, wue))
        return false;
    to->has_id = from->id != NULL;
    if (to->has_id && !id_parse(from->id, &to->id))
        return false;
    to->timestamp = from->timestamp != 0 ? from->timestamp : clock_wall();
    return clock_is_writable(to->timestamp) && read_numbers(from, to->numbers);
}

static char *add(char *at, const char *text, size_t length) {
    memcpy(at, text, length);
    return at + length;
}

#define ADD(at, literal) add(at, literal, sizeof(literal) - 1)

size_t emission_print(const struct emission *emission, const struct id *run, char text[EMISSION_JSON_SIZE]) {
    char *at = ADD(text, "{\"id\":\"");
    id_format(&emission->id, at);
    at = ADD(at + ID_TEXT_SIZE - 1, "\",\"run_id\":\"");
    id_format(run, at);
    at = ADD(at + ID_TEXT_SIZE - 1, "\",\"timestamp\":\"");
    clock_format(emission->timestamp, at);
    at = ADD(at + CLOCK_TEXT_SIZE - 1, "\"");
    for (size_t i = 0; i < EMISSION_NUMBERS; i++) {
        at = ADD(at, ",\"");
        at = add(at, NUMBERS[i].name, NUMBERS[i].length);
        at = ADD(at, "\":");
        at = isnan(emission->numbers[i]) ? ADD(at, "null") : at + number_print(emission->numbers[i], at);
    }
    at = ADD(at, "}");
    return (size_t)(at - text);
}
