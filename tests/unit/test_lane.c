/* Whose turn it is at a lane: jobs in order, but none of an address that has its share of the workers. */
#include "unit.h"

#include "http/lane.h"

#include <semaphore.h>
#include <time.h>

enum { PATIENCE = 60 /* seconds */, ROUNDS = 5 };

static int64_t pushed; /* jobs: each is late when its number comes */

static const struct http_address one = {{1}}, other = {{2}};

struct job {
    sem_t begun, may_end;
};

static void *new_context(void *owner) {
    return owner;
}

static void free_context(void *context) {
    (void)context;
}

static void work(void *argument, void *context) {
    struct job *job = argument;
    (void)context;
    sem_post(&job->begun);
    sem_wait(&job->may_end);
}

static struct lane *lane_of_two(int share) {
    static int owner;
    const struct lane_settings settings = {.name = "test",
                                           .threads = 2,
                                           .share = share,
                                           .capacity = 4,
                                           .new_context = new_context,
                                           .free_context = free_context,
                                           .owner = &owner,
                                           .work = work};
    struct lane *lane = lane_new(&settings);
    assert_non_null(lane);
    return lane;
}

static void push(struct lane *lane, struct job *job, const struct http_address *client) {
    sem_init(&job->begun, 0, 0);
    sem_init(&job->may_end, 0, 0);
    assert_true(lane_reserve(lane));
    lane_push(lane, job, client, ++pushed);
}

static void assert_begins(struct job *job) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    assert_int_equal(sem_timedwait(&job->begun, &until), 0);
}

static void assert_waits(struct job *job) {
    assert_int_equal(sem_trywait(&job->begun), -1);
}

static void end(struct job *job) {
    sem_post(&job->may_end);
}

static void whose_share_is_used_up_waits(void **state) {
    (void)state;
    struct lane *lane = lane_of_two(1);
    struct job first, second, third, theirs, theirs_too;
    for (int round = 0; round < ROUNDS; round++) { /* so that the ring of jobs is gone round */
        push(lane, &first, &one);
        assert_begins(&first);
        push(lane, &second, &one);
        push(lane, &third, &one);
        push(lane, &theirs, &other);
        assert_begins(&theirs);
        push(lane, &theirs_too, &other);
        end(&theirs);
        assert_begins(&theirs_too);
        assert_waits(&second);
        end(&first);
        assert_begins(&second);
        assert_waits(&third);
        assert_null(lane_take_late(lane, pushed - 3));
        assert_ptr_equal(lane_take_late(lane, pushed - 2), &third);
        assert_null(lane_take_late(lane, INT64_MAX));
        end(&second);
        end(&theirs_too);
    }
    lane_free(lane);
}

static void without_a_share_one_may_have_all(void **state) {
    (void)state;
    struct lane *lane = lane_of_two(0);
    struct job first, second;
    push(lane, &first, &one);
    push(lane, &second, &one);
    assert_begins(&first);
    assert_begins(&second);
    end(&first);
    end(&second);
    lane_free(lane);
}

static void the_end_waits_for_all(void **state) {
    (void)state;
    struct lane *lane = lane_of_two(1);
    struct job jobs[4];
    for (size_t i = 0; i < COUNT(jobs); i++) {
        push(lane, &jobs[i], &one);
        end(&jobs[i]);
    }
    lane_end(lane);
    for (size_t i = 0; i < COUNT(jobs); i++)
        assert_begins(&jobs[i]);
    assert_false(lane_reserve(lane));
    lane_free(lane);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_share_is_used_up_waits),
        cmocka_unit_test(without_a_share_one_may_have_all),
        cmocka_unit_test(the_end_waits_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
