#include "unit.h"

#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const struct {
    const char *text;
    const char *address; /* NULL: none */
    bool with_port;      /* it takes that to understand it */
} cases[] = {
    {"192.0.2.1", "192.0.2.1", false},
    {"0.0.0.0", "0.0.0.0", false},
    {"::1", "::1", false},
    {"2001:DB8:0:0::1", "2001:db8::1", false},
    {"::ffff:192.0.2.1", "192.0.2.1", false},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
    {"192.0.2.1:8080", "192.0.2.1", true},
    {"[2001:db8::1]", "2001:db8::1", true},
    {"[2001:db8::1]:443", "2001:db8::1", true},
    {"", NULL, true},
    {"[", NULL, true},
    {"[]", NULL, true},
    {":", NULL, true},
    {"[2001:db8::1", NULL, true},
    {"[2001:db8::1]443", NULL, true},
    {"192.0.2", NULL, true},
    {"192.0.2.256", NULL, true},
    {"192.0.2.01", NULL, true},
    {"192.0.2.1 ", NULL, true},
    {"1.2.3.4.5", NULL, true},
    {"fe80::1%eth0", NULL, true},
    {"2001:db8::1::2", NULL, true},
    {"unknown", NULL, true},
    {"localhost", NULL, true},
    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555", NULL, true},
};

static void addresses(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_address address;
        char text[HTTP_ADDRESS_TEXT];
        size_t size = strlen(cases[i].text);
        assert_int_equal(http_address_parse(cases[i].text, size, true, &address), cases[i].address != NULL);
        if (!cases[i].address)
            continue;
        http_address_format(&address, text);
        assert_string_equal(text, cases[i].address);
        assert_int_equal(http_address_parse(cases[i].text, size, false, &address), !cases[i].with_port);
    }
}

/* It ends where its size says, whatever stands behind. */
static void a_part_of_a_text(void **state) {
    (void)state;
    struct http_address address;
    char text[HTTP_ADDRESS_TEXT];
    assert_true(http_address_parse("192.0.2.11,x", 9, true, &address));
    http_address_format(&address, text);
    assert_string_equal(text, "192.0.2.1");
    assert_false(http_address_parse("[::1]:80", 4, true, &address));
}

static struct http_address address_of(const char *text) {
    struct http_address address;
    assert_true(http_address_parse(text, strlen(text), false, &address));
    return address;
}

static void networks(void **state) {
    (void)state;
    static const struct {
        const char *network, *address;
        bool contains;
    } table[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.9.8.7/8", "10.1.2.3", true},
        {"192.0.2.0/25", "192.0.2.127", true},
        {"192.0.2.0/25", "192.0.2.128", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"192.0.2.1/32", "192.0.2.0", false},
        {"2001:db8::/32", "2001:db8::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1/128", "::1", true},
        {"::/0", "2001:db8::1", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::1", "0.0.0.1", false},
    };
    static const char *const bad[] = {
        "",       "/8",      "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8",
        "::/129", "::/0128", "localhost", "10.0.0.0:80", "[::1]",       "10.0.0.0 /8", "10/8"};
    struct http_network network;
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct http_address address = address_of(table[i].address);
        assert_true(http_network_parse(table[i].network, &network));
        assert_int_equal(http_network_contains(&network, &address), table[i].contains);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(http_network_parse(bad[i], &network));
}

static void sockets(void **state) {
    (void)state;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    const struct sockaddr local = {.sa_family = AF_UNIX};
    struct http_address address;
    char text[HTTP_ADDRESS_TEXT];
    inet_pton(AF_INET, "192.0.2.1", &ipv4.sin_addr);
    inet_pton(AF_INET6, "2001:db8::1", &ipv6.sin6_addr);
    const struct {
        const struct sockaddr *socket;
        const char *text;
    } table[] = {
        {(struct sockaddr *)&ipv4, "192.0.2.1"},
        {(struct sockaddr *)&ipv6, "2001:db8::1"},
        {&local, "::"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        http_address_of(table[i].socket, &address);
        http_address_format(&address, text);
        assert_string_equal(text, table[i].text);
    }
}

static void what_is_counted(void **state) {
    (void)state;
    static const struct {
        const char *one, *other;
        bool together;
    } table[] = {
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"::1", "192.0.2.1", false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct http_address one = address_of(table[i].one), other = address_of(table[i].other);
        const struct http_address a = http_address_counted(&one), b = http_address_counted(&other);
        assert_int_equal(memcmp(&a, &b, sizeof a) == 0, table[i].together);
    }
}

static void loopback(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_loopback;
    } examples[] = {
        {"127.0.0.1", true}, {"127.255.255.255", true}, {"::1", true},         {"::ffff:127.0.0.1", true},
        {"0.0.0.0", false},  {"126.0.0.1", false},      {"128.0.0.1", false},  {"::", false},
        {"::2", false},      {"::7f00:1", false},       {"10.0.0.127", false}, {"7f00::1", false},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct http_address address;
        assert_true(http_address_parse(examples[i].text, strlen(examples[i].text), false, &address));
        assert_int_equal(http_address_is_loopback(&address), examples[i].is_loopback);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(a_part_of_a_text), cmocka_unit_test(networks),
        cmocka_unit_test(sockets),   cmocka_unit_test(what_is_counted),  cmocka_unit_test(loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
