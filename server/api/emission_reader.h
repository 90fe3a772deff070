/* Reads the JSON of one emission. What trackers send is read by a parser of our own, in a fraction of the time that a
 * JSON library takes to build a tree; it knows flat objects of plain ASCII and gives up, without a verdict, on whatever
 * else there is. Then jansson and the table of members decide (api/validate.h). So only they ever refuse, and what the
 * fast way accepts they accept as well, with the same values: a test compares them. */
#pragma once

#include "api/arguments.h"
#include "api/members.h"
#include "ingest/emission.h"

#include <stdbool.h>
#include <stddef.h>

enum { EMISSION_MEMBERS = 3 + EMISSION_NUMBERS };

/* A body of emissions, made ready for reading. */
struct emission_reader {
    struct emission_member {
        const struct member *member;
        size_t name_length;
        int number; /* of enum emission_number; -1: an id or the time */
    } members[EMISSION_MEMBERS];
    unsigned required; /* a bit for each member */
    size_t id;         /* which one is the id: required, or made when it is not there */
    struct emission defaults;
};

/* `body` has the members of an emission, and no others; otherwise it aborts. */
void emission_reader_init(struct emission_reader *reader, const struct body *body);

/* True: the text is an emission, and now in *emission; *has_id tells whether it brought its id, or got a new one. False:
 * perhaps it is none. A NUL must stand somewhere behind the text. May be called from any thread. */
bool emission_read(const struct emission_reader *reader, const char *text, size_t size,
                   struct emission *emission, bool *has_id);

/* The same from validated arguments. */
void emission_of_arguments(const struct arguments *arguments, struct emission *emission);
