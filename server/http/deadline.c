#include "http/deadline.h"

#include "base/clock.h"

/* Seconds. Who looks every second, or a little later, may see the clock's whole seconds go on by two. */
enum { LONGEST_PAUSE = 2 };

static struct deadline *slot_of(struct deadline_wheel *wheel, int64_t second) {
    return &wheel->slots[second % DEADLINE_SLOTS];
}

int64_t deadline_clock(void) {
    return clock_monotonic() / 1000000;
}

void deadline_wheel_init(struct deadline_wheel *wheel, int64_t clock) {
    wheel->passed = clock;
    wheel->away = 0;
    wheel->set = 0;
    for (size_t i = 0; i < DEADLINE_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].previous = &wheel->slots[i];
}

int64_t deadline_look(struct deadline_wheel *wheel, int64_t clock) {
    int64_t latest = wheel->passed + LONGEST_PAUSE;
    if (clock - wheel->away > latest)
        wheel->away = clock - latest;
    return clock - wheel->away;
}

int64_t deadline_in(struct deadline_wheel *wheel, int64_t clock, int seconds) {
    return deadline_look(wheel, clock) + seconds + 1; /* since this one may be nearly over */
}

void deadline_clear(struct deadline_wheel *wheel, struct deadline *deadline) {
    if (!deadline->next)
        return;
    deadline->next->previous = deadline->previous;
    deadline->previous->next = deadline->next;
    deadline->next = deadline->previous = NULL;
    wheel->set--;
}

void deadline_set(struct deadline_wheel *wheel, struct deadline *deadline, int64_t due) {
    deadline_clear(wheel, deadline);
    deadline->due = due > wheel->passed ? due : wheel->passed + 1;
    struct deadline *slot = slot_of(wheel, deadline->due);
    deadline->next = slot;
    deadline->previous = slot->previous;
    slot->previous->next = deadline;
    slot->previous = deadline;
    wheel->set++;
}

static struct deadline *due_in(struct deadline *slot, int64_t second) {
    for (struct deadline *deadline = slot->next; deadline != slot; deadline = deadline->next)
        if (deadline->due <= second)
            return deadline;
    return NULL;
}

struct deadline *deadline_take(struct deadline_wheel *wheel, int64_t now) {
    for (; wheel->passed < now; wheel->passed++) {
        int64_t second = wheel->passed + 1;
        struct deadline *found = due_in(slot_of(wheel, second), second);
        if (!found)
            continue;
        deadline_clear(wheel, found);
        return found;
    }
    return NULL;
}
