#include "unit.h"

#include "clock.h"
#include "number.h"
#include "record.h"

#include <jansson.h>
#include <math.h>

/* The same numbers in each run (xorshift64). */
static uint64_t chance(void) {
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}

static struct id id_of(unsigned char byte) {
    struct id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

static carbond_emission measured(void) {
    carbond_emission emission;
    carbond_emission_init(&emission, sizeof emission);
    emission.timestamp = INT64_C(1795455600123456);
    emission.duration = 15;
    emission.emissions_sum = 2.4253647247211038e-06;
    emission.cpu_power = 23.440629005749997;
    emission.gpu_power = 0;
    emission.wue = 1e290;
    emission.cpu_utilization_percent = 100;
    return emission;
}

static void assert_same_numbers(const struct emission *a, const struct emission *b) {
    for (size_t i = 0; i < EMISSION_NUMBERS; i++)
        assert_true(a->numbers[i] == b->numbers[i] || (isnan(a->numbers[i]) && isnan(b->numbers[i])));
}

static void test_there_and_back(void **state) {
    (void)state;
    static const char json[] = "{\"a\":1}";
    struct record records[] = {
        {.type = RECORD_RUN,
         .run = id_of(1),
         .dropped = UINT64_C(0x0102030405060708),
         .json = json,
         .json_length = 7},
        {.type = RECORD_EMISSION, .run = id_of(2), .emission = {.id = id_of(3)}},
    };
    carbond_emission from = measured();
    struct emission *emission = &records[1].emission;
    assert_true(emission_read(&from, emission));
    emission->id = id_of(3);
    for (size_t i = 0; i < COUNT(records); i++) {
        unsigned char bytes[256];
        struct record back;
        size_t size = record_size(&records[i]);
        record_encode(&records[i], bytes);
        assert_true(record_decode(bytes, size, &back));
        assert_int_equal(back.type, records[i].type);
        assert_true(id_equal(&back.run, &records[i].run));
        assert_int_equal(back.dropped, records[i].dropped);
        assert_int_equal(back.json_length, records[i].json_length);
        if (records[i].type == RECORD_RUN)
            assert_memory_equal(back.json, json, 7);
        if (records[i].type == RECORD_EMISSION) {
            assert_true(id_equal(&back.emission.id, &emission->id));
            assert_true(id_equal(&back.emission.run, &records[i].run));
            assert_int_equal(back.emission.timestamp, emission->timestamp);
            assert_same_numbers(&back.emission, emission);
        }
        /* One byte less is no record; nor, but for a body that has an end of its own, one more. */
        if (records[i].type != RECORD_RUN) {
            assert_false(record_decode(bytes, size - 1, &back));
            assert_false(record_decode(bytes, size + 1, &back));
        }
        bytes[0] = 77;
        assert_false(record_decode(bytes, size, &back));
    }
}

/* The bytes are the same on every machine: spools may be moved. */
static void test_bytes(void **state) {
    (void)state;
    static const char json[] = "{}";
    struct record record = {
        .type = RECORD_RUN, .run = id_of(0xab), .dropped = 0x1234, .json = json, .json_length = 2};
    unsigned char bytes[64], expected[27] = {1};
    memset(expected + 1, 0xab, 16);
    expected[17] = 0x34;
    expected[18] = 0x12;
    memcpy(expected + 25, "{}", 2);
    assert_int_equal(record_size(&record), sizeof expected);
    record_encode(&record, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void test_hostile_bytes(void **state) {
    (void)state;
    unsigned char bytes[RECORD_EMISSION_SIZE];
    struct record record;
    for (int i = 0; i < 200000; i++) {
        size_t length = (size_t)chance() % (sizeof bytes + 1);
        for (size_t k = 0; k < length; k++)
            bytes[k] = (unsigned char)chance();
        bytes[0] = (unsigned char)(chance() % 5);
        if (record_decode(bytes, length, &record) && record.type == RECORD_EMISSION) {
            char text[EMISSION_JSON_SIZE];
            assert_true(emission_print(&record.emission, &record.run, text) < sizeof text);
        }
    }
    assert_false(record_decode(bytes, 0, &record));
}

static void test_what_is_accepted(void **state) {
    (void)state;
    struct emission read;
    carbond_emission good = measured();
    assert_true(emission_read(&good, &read));
    assert_false(read.has_id);
    assert_false(emission_read(NULL, &read));
    const struct {
        double duration, power, percent;
        bool accepted;
    } cases[] = {
        {1, 1, 1, true},         {1e-9, 0, 0, true},       {1, NAN, NAN, true},     {0, 1, 1, false},
        {-1, 1, 1, false},       {NAN, 1, 1, false},       {INFINITY, 1, 1, false}, {1, -1e-9, 1, false},
        {1, INFINITY, 1, false}, {1, 1, 100.5, false},     {1, 1, -1, false},       {1, 1e290, 100, true},
        {1, 1.1e290, 1, false},  {1, -INFINITY, 1, false}, {1, -0.0, 1, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        carbond_emission emission = measured();
        emission.duration = cases[i].duration;
        emission.gpu_power = cases[i].power;
        emission.ram_utilization_percent = cases[i].percent;
        assert_int_equal(emission_read(&emission, &read), cases[i].accepted);
    }
    good.id = "no id";
    assert_false(emission_read(&good, &read));
    good.id = "3F0C8f0e-6b57-4c7c-9d0a-6f1d2f6b8A11";
    assert_true(emission_read(&good, &read) && read.has_id);
    good.size = 8;
    assert_false(emission_read(&good, &read));
}

/* What is printed is what a JSON parser reads, to the last bit. */
static void test_printing(void **state) {
    (void)state;
    carbond_emission from = measured();
    struct emission emission;
    char text[EMISSION_JSON_SIZE];
    struct id run = id_of(0x22);
    assert_true(emission_read(&from, &emission));
    emission.id = id_of(0x11);
    json_t *object = json_loadb(text, emission_print(&emission, &run, text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), 3 + EMISSION_NUMBERS);
    assert_string_equal(json_string_value(json_object_get(object, "id")),
                        "11111111-1111-1111-1111-111111111111");
    assert_string_equal(json_string_value(json_object_get(object, "run_id")),
                        "22222222-2222-2222-2222-222222222222");
    assert_string_equal(json_string_value(json_object_get(object, "timestamp")),
                        "2026-11-23T17:40:00.123456Z");
    assert_true(json_number_value(json_object_get(object, "emissions_sum")) == from.emissions_sum);
    assert_true(json_number_value(json_object_get(object, "cpu_power")) == from.cpu_power);
    assert_true(json_number_value(json_object_get(object, "wue")) == 1e290);
    assert_true(json_number_value(json_object_get(object, "duration")) == 15);
    assert_true(json_is_null(json_object_get(object, "ram_power")));
    json_decref(object);
}

static void assert_reads_back(double number) {
    char text[NUMBER_SIZE + 1], *end;
    text[number_print(number, text)] = '\0';
    double back = strtod(text, &end);
    if (*end != '\0' || back != number)
        fail_msg("%.17g is printed as %s", number, text);
    json_t *parsed = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_true(json_is_number(parsed) && json_number_value(parsed) == number);
    json_decref(parsed);
}

/* Each double is read back as it was: at the edges, next to powers of ten, and any. */
static void test_numbers(void **state) {
    (void)state;
    static const double edges[] = {1,
                                   0.1,
                                   0.3,
                                   9.5,
                                   1e-5,
                                   1e-11,
                                   1e16,
                                   1e17,
                                   1e22,
                                   1e290,
                                   1e-300,
                                   5e-324,
                                   100,
                                   15,
                                   123456789.0,
                                   0.99999999999999989,
                                   4503599627370496.5};
    for (size_t i = 0; i < COUNT(edges); i++)
        assert_reads_back(edges[i]);
    for (int i = 0; i < 45; i++) {
        double power = pow(10, i - 20);
        for (int step = -3; step <= 3; step++) {
            int64_t bits;
            memcpy(&bits, &power, sizeof bits);
            bits += step;
            double near;
            memcpy(&near, &bits, sizeof near);
            assert_reads_back(near);
        }
    }
    for (int i = 0; i < 300000; i++) {
        double number = (double)(chance() % UINT64_C(1000000007)) / 1000003.0 *
                        (i % 3 == 0   ? 1e-9
                         : i % 3 == 1 ? 1e-4
                                      : 1e6);
        assert_reads_back(number + 1e-12);
        uint64_t bits = chance() << 16 ^ chance();
        memcpy(&number, &bits, sizeof number);
        if (isfinite(number) && number != 0)
            assert_reads_back(number);
    }
}

static void test_times(void **state) {
    (void)state;
    static const struct {
        int64_t time;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000001), "2000-02-29T00:00:00.000001Z"},
    };
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(clock_is_writable(cases[i].time));
        clock_format(cases[i].time, text);
        assert_string_equal(text, cases[i].text);
    }
    assert_false(clock_is_writable(INT64_MIN));
    assert_false(clock_is_writable(INT64_MAX));
    assert_false(clock_is_writable(INT64_C(253402300800000000)));
}

static void test_ids_grow(void **state) {
    (void)state;
    struct id_maker maker = {0};
    struct id before = id_new(&maker);
    for (int i = 0; i < 100000; i++) {
        struct id next = id_new(&maker);
        assert_true(memcmp(before.bytes, next.bytes, sizeof next.bytes) < 0);
        assert_int_equal(next.bytes[6] >> 4, 7);
        assert_int_equal(next.bytes[8] >> 6, 2);
        before = next;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_hostile_bytes),  cmocka_unit_test(test_what_is_accepted),
        cmocka_unit_test(test_printing),       cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_times),          cmocka_unit_test(test_ids_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
