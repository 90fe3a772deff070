/* The queue of emissions that wait: order, bounds, and its end. */
#include "unit.h"

#include "ingest/queue.h"

#include <pthread.h>
#include <unistd.h>

enum { MANY = 1000 };

static struct ingest_job *chain(struct ingest_job *jobs, size_t count, size_t emissions) {
    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct ingest_job){.count = emissions};
    return jobs;
}

/* The taken jobs are these, in this order. */
static void assert_taken(const struct ingest_job *taken, const struct ingest_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++, taken = taken->next)
        assert_ptr_equal(taken, &jobs[i]);
    assert_null(taken);
}

static void jobs_come_out_in_order(void **state) {
    (void)state;
    struct ingest_backlog backlog = {.capacity = 10};
    struct ingest_queue *queue = ingest_queue_new(&backlog);
    struct ingest_job jobs[4];
    assert_non_null(queue);
    chain(jobs, COUNT(jobs), 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(jobs); i++)
            assert_true(ingest_queue_put(queue, &jobs[i]));
        assert_int_equal(backlog.emissions, COUNT(jobs));
        assert_taken(ingest_queue_take(queue, MANY, MANY), jobs, COUNT(jobs));
        assert_int_equal(backlog.emissions, 0);
    }
    ingest_queue_free(queue);
}

static void so_many_are_taken(void **state) {
    (void)state;
    static const struct {
        size_t jobs, emissions, taken;
    } cases[] = {
        {1, MANY, 1},
        {3, MANY, 3},
        {4, MANY, 4},
        {5, MANY, 4},
        {MANY, 9, 3},
        {MANY, 8, 2},
        {MANY, 6, 2},
        {MANY, 5, 1},
        {MANY, 3, 1},
        {2, 9, 2},
        /* The first one is taken however large. */
        {MANY, 1, 1},
        {MANY, 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ingest_backlog backlog = {.capacity = 12};
        struct ingest_queue *queue = ingest_queue_new(&backlog);
        struct ingest_job jobs[4];
        assert_non_null(queue);
        chain(jobs, COUNT(jobs), 3);
        for (size_t j = 0; j < COUNT(jobs); j++)
            assert_true(ingest_queue_put(queue, &jobs[j]));
        assert_taken(ingest_queue_take(queue, cases[i].jobs, cases[i].emissions), jobs, cases[i].taken);
        assert_int_equal(backlog.emissions, 12 - 3 * cases[i].taken);
        if (cases[i].taken < COUNT(jobs))
            assert_taken(ingest_queue_take(queue, MANY, MANY), jobs + cases[i].taken,
                         COUNT(jobs) - cases[i].taken);
        ingest_queue_free(queue);
    }
}

static void the_bound_is_for_all_queues_together(void **state) {
    (void)state;
    struct ingest_backlog backlog = {.capacity = 10};
    struct ingest_queue *one = ingest_queue_new(&backlog), *other = ingest_queue_new(&backlog);
    struct ingest_job large = {.count = 7}, rest = {.count = 3}, small = {.count = 1}, huge = {.count = 11},
                      endless = {.count = SIZE_MAX / 2};
    assert_non_null(one);
    assert_non_null(other);
    assert_false(ingest_queue_put(one, &huge));
    assert_false(ingest_queue_put(one, &endless));
    assert_true(ingest_queue_put(one, &large));
    assert_false(ingest_queue_put(other, &(struct ingest_job){.count = 4}));
    assert_true(ingest_queue_put(other, &rest));
    assert_false(ingest_queue_put(one, &small));
    assert_false(ingest_queue_put(other, &small));
    assert_int_equal(backlog.emissions, 10);
    assert_taken(ingest_queue_take(other, MANY, MANY), &rest, 1);
    assert_true(ingest_queue_put(one, &small));
    assert_ptr_equal(ingest_queue_take(one, MANY, MANY), &large);
    assert_ptr_equal(large.next, &small);
    assert_int_equal(backlog.emissions, 0);
    ingest_queue_free(one);
    ingest_queue_free(other);
}

static void a_closed_queue_gives_what_it_has(void **state) {
    (void)state;
    struct ingest_backlog backlog = {.capacity = 10};
    struct ingest_queue *queue = ingest_queue_new(&backlog);
    struct ingest_job jobs[2];
    assert_non_null(queue);
    chain(jobs, COUNT(jobs), 1);
    assert_true(ingest_queue_put(queue, &jobs[0]));
    assert_false(ingest_queue_is_closed(queue));
    ingest_queue_close(queue);
    assert_true(ingest_queue_is_closed(queue));
    assert_false(ingest_queue_put(queue, &jobs[1]));
    assert_int_equal(backlog.emissions, 1);
    assert_taken(ingest_queue_take(queue, MANY, MANY), jobs, 1);
    assert_null(ingest_queue_take(queue, MANY, MANY));
    assert_null(ingest_queue_take(queue, MANY, MANY));
    ingest_queue_free(queue);
}

static void *take_until_closed(void *argument) {
    struct ingest_queue *queue = argument;
    size_t taken = 0;
    struct ingest_job *jobs;
    while ((jobs = ingest_queue_take(queue, 3, MANY)))
        for (; jobs; jobs = jobs->next)
            taken++;
    return (void *)taken;
}

static void who_waits_is_woken(void **state) {
    (void)state;
    struct ingest_backlog backlog = {.capacity = 10};
    struct ingest_queue *queue = ingest_queue_new(&backlog);
    struct ingest_job job = {.count = 1};
    pthread_t taker;
    void *taken;
    assert_non_null(queue);
    assert_int_equal(pthread_create(&taker, NULL, take_until_closed, queue), 0);
    usleep(20000);
    assert_true(ingest_queue_put(queue, &job));
    usleep(20000);
    ingest_queue_close(queue);
    assert_int_equal(pthread_join(taker, &taken), 0);
    assert_int_equal((size_t)taken, 1);
    ingest_queue_free(queue);
}

/* ---- many at once */

enum { PRODUCERS = 4, JOBS_EACH = 5000 };

struct producer {
    struct ingest_queue *queue;
    struct ingest_job jobs[JOBS_EACH];
    size_t next; /* that the consumer expects of this one */
};

static void *produce(void *argument) {
    struct producer *producer = argument;
    for (size_t i = 0; i < JOBS_EACH; i++) {
        producer->jobs[i] = (struct ingest_job){.count = 1 + i % 3, .arrived = (int64_t)i};
        while (!ingest_queue_put(producer->queue, &producer->jobs[i]))
            usleep(10);
    }
    return NULL;
}

static struct producer *producer_of(struct producer *producers, const struct ingest_job *job) {
    for (size_t i = 0; i < PRODUCERS; i++)
        if (job >= producers[i].jobs && job < producers[i].jobs + JOBS_EACH)
            return &producers[i];
    fail_msg("a job of nobody");
    return NULL;
}

static void nothing_is_lost_among_threads(void **state) {
    (void)state;
    struct ingest_backlog backlog = {.capacity = 50};
    struct ingest_queue *queue = ingest_queue_new(&backlog);
    struct producer *producers = calloc(PRODUCERS, sizeof *producers);
    pthread_t threads[PRODUCERS];
    assert_non_null(queue);
    assert_non_null(producers);
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i].queue = queue;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (size_t count = 0; count < (size_t)PRODUCERS * JOBS_EACH;) {
        for (struct ingest_job *job = ingest_queue_take(queue, 20, 30); job; job = job->next, count++)
            assert_int_equal(job->arrived, producer_of(producers, job)->next++);
    }
    for (size_t i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(backlog.emissions, 0);
    free(producers);
    ingest_queue_free(queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_out_in_order),
        cmocka_unit_test(so_many_are_taken),
        cmocka_unit_test(the_bound_is_for_all_queues_together),
        cmocka_unit_test(a_closed_queue_gives_what_it_has),
        cmocka_unit_test(who_waits_is_woken),
        cmocka_unit_test(nothing_is_lost_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
