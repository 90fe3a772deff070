/* The wheel of deadlines: each comes up once, at its time or the next look after it, however far away it is. */
#include "unit.h"

#include "http/deadline.h"

enum { START = 1000, MANY = 3000, ROUNDS = 5 };

static void comes_up_at_its_time(void **state) {
    (void)state;
    static const int seconds[] = {1, 2, DEADLINE_SLOTS - 1, DEADLINE_SLOTS, DEADLINE_SLOTS + 1, MANY};
    for (size_t i = 0; i < COUNT(seconds); i++) {
        struct deadline_wheel wheel;
        struct deadline deadline = {0};
        deadline_wheel_init(&wheel, START);
        deadline_set(&wheel, &deadline, START + seconds[i]);
        for (int now = 0; now < seconds[i]; now++)
            assert_null(deadline_take(&wheel, START + now));
        assert_ptr_equal(deadline_take(&wheel, START + seconds[i]), &deadline);
        assert_null(deadline_take(&wheel, START + 2 * MANY));
    }
}

static void what_is_due_already_comes_up_next(void **state) {
    (void)state;
    struct deadline_wheel wheel;
    struct deadline deadline = {0};
    deadline_wheel_init(&wheel, START);
    deadline_set(&wheel, &deadline, START - 10);
    assert_null(deadline_take(&wheel, START));
    assert_ptr_equal(deadline_take(&wheel, START + 1), &deadline);
}

static void moves_and_goes(void **state) {
    (void)state;
    struct deadline_wheel wheel;
    struct deadline moved = {0}, cleared = {0};
    deadline_wheel_init(&wheel, START);
    deadline_set(&wheel, &moved, START + 1);
    deadline_set(&wheel, &cleared, START + 1);
    deadline_set(&wheel, &moved, START + 5);
    deadline_clear(&wheel, &cleared);
    deadline_clear(&wheel, &cleared);
    assert_null(deadline_take(&wheel, START + 4));
    assert_ptr_equal(deadline_take(&wheel, START + 5), &moved);
}

/* A look long after: all that has passed meanwhile, and no more. */
static void a_late_look_finds_all(void **state) {
    (void)state;
    static struct deadline deadlines[MANY];
    struct deadline_wheel wheel;
    deadline_wheel_init(&wheel, START);
    memset(deadlines, 0, sizeof deadlines);
    for (int i = 0; i < MANY; i++)
        deadline_set(&wheel, &deadlines[i], START + 1 + i);
    int found = 0;
    for (struct deadline *deadline; (deadline = deadline_take(&wheel, START + MANY / 2)); found++)
        assert_true(deadline->due <= START + MANY / 2);
    assert_int_equal(found, MANY / 2);
    while (deadline_take(&wheel, START + MANY))
        found++;
    assert_int_equal(found, MANY);
}

/* The clock goes on while the process is stopped, the wheel does not; and who is given a deadline before what has passed is
 * taken, however often the clock is looked at by then, has no more time than others. */
static void time_in_which_nobody_takes_does_not_count(void **state) {
    (void)state;
    struct deadline_wheel wheel;
    struct deadline before = {0}, after = {0};
    int64_t clock = START, time = START;
    deadline_wheel_init(&wheel, clock);
    for (int round = 0; round < ROUNDS; round++) {
        deadline_set(&wheel, &before, deadline_in(&wheel, clock, 3));
        clock += 2, time += 2;
        assert_int_equal(deadline_look(&wheel, clock), time);
        assert_null(deadline_take(&wheel, time));
        clock += MANY, time += 2;
        assert_int_equal(deadline_look(&wheel, clock), time);
        clock += MANY;
        deadline_set(&wheel, &after, deadline_in(&wheel, clock, 0));
        clock += MANY;
        assert_int_equal(deadline_look(&wheel, clock), time);
        assert_ptr_equal(deadline_take(&wheel, time), &before);
        assert_null(deadline_take(&wheel, time));
        clock++, time++;
        assert_int_equal(deadline_look(&wheel, clock), time);
        assert_ptr_equal(deadline_take(&wheel, time), &after);
        assert_null(deadline_take(&wheel, time));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_up_at_its_time),
        cmocka_unit_test(what_is_due_already_comes_up_next),
        cmocka_unit_test(moves_and_goes),
        cmocka_unit_test(a_late_look_finds_all),
        cmocka_unit_test(time_in_which_nobody_takes_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
